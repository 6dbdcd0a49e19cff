// Is a recorded prompt what its hashes say? HDF5's checksums find what chance does to a file; these find an
// edit that keeps those right, and data copied past them.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "record/logits_rows.hpp"
#include "record/reader.hpp"

namespace shardrift::record {

enum class Verify {
  hashes,
  chosen_too,  // and that every `chosen` is its row's argmax, where that has no NaN
};

// The logits of one prompt, without the reader: for a thread of its own.
class LogitsCheck {
 public:
  // The prompt has logits.
  LogitsCheck(const Reader& reader, const PromptRecord& record);
  // Throws bad_data naming file, object and both hashes. Returns the SHA-256 of the words.
  std::string run(Verify what) const;

 private:
  void require_chosen(std::int64_t first, const std::vector<std::byte>& words) const;

  LogitsRows rows_;
  std::filesystem::path file_;
  std::string object_;
  DType dtype_;
  std::string hash_;
  std::int64_t schema_minor_;  // 0 in another program's file, which need not say a hash
  std::vector<std::int32_t> chosen_;
};

// Why a prompt without the attribute `name`, `hash` or `content`, is not believed: a file of that
// schema_minor has it. Empty: none promises it.
std::string fault_of_missing_hash(std::string_view name, std::int64_t schema_minor);

// Reads all that is recorded of the prompt. Throws bad_data naming file, object and both hashes. False where
// the record is of an older version, a newer one or another program's, and the logits' hash, where there is
// one, was all that could be verified.
bool verify_prompt(const Reader& reader, const std::string& id, Verify what = Verify::hashes);

}  // namespace shardrift::record
