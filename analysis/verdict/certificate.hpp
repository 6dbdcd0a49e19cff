// A verdict that can be kept and checked again: what was judged, to the byte, by which limits, and what came
// out. Hashed, not signed: whoever may write the file can make another; docs/verdict.md, "Certificate".
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/verdict/verdict.hpp"
#include "common/named_enum.hpp"

namespace shardrift::verdict {

// What a record was to the verdict.
enum class Evident { reference, candidate, noise_floor, yardstick, truth };
constexpr auto names_of(Evident) {
  return std::to_array<Named<Evident>>({{Evident::reference, "reference"},
                                        {Evident::candidate, "candidate"},
                                        {Evident::noise_floor, "noise floor"},
                                        {Evident::yardstick, "yardstick"},
                                        {Evident::truth, "truth"}});
}

// A file as it was when it was hashed.
struct HashedFile {
  std::filesystem::path path;
  std::int64_t bytes = 0;
  std::int64_t modified = 0;  // ns since the epoch
  std::string sha256;         // of all its bytes: a changed bit of logits or metadata is another file

  bool unchanged() const;  // by size and time
};
// Throws bad_data: not there, a folder (the parts of a run that has not finished), unreadable.
HashedFile hash_file(const std::filesystem::path& path);

using EvidentFiles = std::vector<std::pair<Evident, HashedFile>>;

struct CertifiedRecord {
  Evident role = Evident::candidate;
  std::string file;  // its name, without folder
  std::string sha256;
};

struct Certificate {
  std::filesystem::path path;
  std::string created;
  std::string version;  // of shardrift
  Thresholds thresholds;
  std::vector<CertifiedRecord> records;  // of each role in the order given
  nlohmann::json content;                // all of it but the hash
};

// The certificate's text. files: what the verdict rests on; candidates in the verdict's order. version: of
// this program. Opens each record for what it says of itself.
std::string certificate_json(const EvidentFiles& files, const Verdict& verdict, std::string_view version);
// The file may be anything. Throws bad_data in one sentence: missing, no JSON, another schema, a hash that is
// not its content's, a key that is not what it should be, a preset's name over other limits.
Certificate read_certificate(const std::filesystem::path& path);
Certificate certificate_from_text(std::string_view text, const std::filesystem::path& path);

// What differs between the certificate and one of this verdict, in one clause; empty: nothing. files: the
// certificate's records, in its order. All but what cannot be made again: when and by which version it was
// made, the files' names, and the thresholds' file. Numbers count as equal to a billionth: other processors'
// last digits.
std::string difference(const Certificate& certificate, const EvidentFiles& files, const Verdict& verdict);
// Likewise of limits, and of what they are judged with; whatever file or preset they come from.
std::string difference_of_limits(const Thresholds& certified, const Thresholds& wanted);

}  // namespace shardrift::verdict
