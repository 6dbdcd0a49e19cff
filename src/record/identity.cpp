#include "record/identity.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "record/part_file.hpp"

namespace shardrift::record {
namespace {

void add_text(Sha256& hash, const std::string& text) {
  const std::string line = std::to_string(text.size()) + ":" + text;
  hash.update(line.data(), line.size());
}

std::string prompts_hash(const h5::Group& prompts) {
  auto ids = prompts.children();
  std::sort(ids.begin(), ids.end());
  Sha256 hash;
  for (const auto& id : ids) {
    if (!valid_id(id)) continue;
    add_text(hash, id);
    add_text(hash, prompts.group(id).text("hash"));
  }
  return hash.hex();
}

}  // namespace

std::optional<Identity> identity_of(const std::filesystem::path& record) {
  std::error_code error;
  const auto status = std::filesystem::status(record, error);
  if (!std::filesystem::is_regular_file(status)) return std::nullopt;
  return reading(record, [&] {
    struct stat about {};
    if (::stat(record.c_str(), &about) != 0)
      throw bad_data("{}: cannot be read: {}", record.string(), std::generic_category().message(errno));
    const auto file = open_record_file(record);
    Identity identity;
    identity.resume_key = file.root.text("resume_key");
    identity.created = file.root.text("created");
    identity.prompts = prompts_hash(file.root.group("prompts"));
    identity.bytes = about.st_size;
    identity.modified = std::int64_t{about.st_mtim.tv_sec} * 1'000'000'000 + about.st_mtim.tv_nsec;
    return identity;
  });
}

}  // namespace shardrift::record
