#include "record/verify.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "common/argmax.hpp"
#include "common/error.hpp"
#include "common/hash.hpp"
#include "record/content_hash.hpp"

namespace shardrift::record {
namespace {

constexpr std::int64_t kBlockBytes = 8 << 20;
// The schema_minor from which on every prompt has the hash of its content, and of its logits.
constexpr std::int64_t kContentMinor = 3;
constexpr std::int64_t kHashMinor = 1;

void require_same(const std::filesystem::path& file, const std::string& object, const std::string& now,
                  const std::string& recorded) {
  if (now == recorded) return;
  throw bad_data("{}: {}: SHA-256 {}…, but {}… was recorded: edited, or damaged", file.string(), object,
                 now.substr(0, 16), recorded.substr(0, 16));
}

void require_unpromised(const std::filesystem::path& file, const std::string& object, const char* name,
                        std::int64_t schema_minor) {
  if (const auto fault = fault_of_missing_hash(name, schema_minor); !fault.empty())
    throw bad_data("{}: {}/@{}: {}", file.string(), object, name, fault);
}

// Calls visit(first row, words) for blocks of rows of `row_bytes`.
template <typename Read, typename Visit>
void in_blocks(std::int64_t rows, std::int64_t row_bytes, Read&& read, Visit&& visit) {
  const std::int64_t step = std::max<std::int64_t>(1, kBlockBytes / std::max<std::int64_t>(1, row_bytes));
  std::vector<std::byte> words;
  for (std::int64_t row = 0; row < rows; row += step) {
    read(row, std::min(rows, row + step), words);
    visit(row, words);
  }
}

}  // namespace

std::string fault_of_missing_hash(std::string_view name, std::int64_t schema_minor) {
  if (schema_minor < (name == "content" ? kContentMinor : kHashMinor)) return {};
  return fmt::format(
      "is missing, and files of schema_minor {} have it: the file was edited, or is another program's, which "
      "leaves schema_minor out",
      schema_minor);
}

LogitsCheck::LogitsCheck(const Reader& reader, const PromptRecord& record)
    : rows_(LogitsRows::open(reader, record.prompt.id)),
      file_(reader.path()),
      object_("/prompts/" + record.prompt.id),
      dtype_(reader.run().logits_dtype),
      hash_(record.hash),
      schema_minor_(reader.schema_minor()) {
  for (const Row& row : record.rows) chosen_.push_back(row.chosen);
}

std::string LogitsCheck::run(Verify what) const {
  Sha256 hash;
  in_blocks(
      rows_.rows(), static_cast<std::int64_t>(rows_.row_bytes()),
      [&](std::int64_t begin, std::int64_t end, std::vector<std::byte>& words) {
        rows_.read(begin, end, words);
      },
      [&](std::int64_t first, const std::vector<std::byte>& words) {
        hash.update(words.data(), words.size());
        if (what == Verify::chosen_too) require_chosen(first, words);
      });
  if (hash_.empty())
    require_unpromised(file_, object_, "hash", schema_minor_);
  else
    require_same(file_, object_ + "/logits", hash.hex(), hash_);
  return hash.hex();
}

void LogitsCheck::require_chosen(std::int64_t first, const std::vector<std::byte>& words) const {
  for (std::size_t at = 0; at < words.size(); at += rows_.row_bytes(), ++first) {
    const auto best = argmax({words.data() + at, rows_.row_bytes()}, dtype_);
    const auto chosen = chosen_[static_cast<std::size_t>(first)];
    if (best == chosen || best < 0) continue;  // no choice is right in a row with NaN
    // Another engine may break a tie otherwise.
    const auto word = [&](std::int32_t token) {
      return words.data() + at + static_cast<std::size_t>(token) * size_of(dtype_);
    };
    if (std::memcmp(word(chosen), word(best), size_of(dtype_)) == 0) continue;
    throw bad_data("{}: {}/chosen: row {} says {}, but the largest logit is token {}'s: edited",
                   file_.string(), object_, first, chosen, best);
  }
}

bool verify_prompt(const Reader& reader, const std::string& id, Verify what) {
  PromptRecord record = reader.prompt(id);
  const auto rows = static_cast<std::int64_t>(record.rows.size());
  const std::string object = "/prompts/" + id;
  const std::string logits = reader.has_logits(id) ? LogitsCheck(reader, record).run(what) : std::string();
  if (record.content.empty()) require_unpromised(reader.path(), object, "content", reader.schema_minor());
  if (record.content.empty() || reader.schema_minor() > kSchemaMinor) return false;
  std::string hidden;
  if (record.hidden.streams > 0) {
    Sha256 hash;
    for (std::int64_t stream = 0; stream < record.hidden.streams; ++stream)
      in_blocks(
          rows, record.hidden.width * static_cast<std::int64_t>(size_of(record.hidden.dtype)),
          [&](std::int64_t begin, std::int64_t end, std::vector<std::byte>& words) {
            reader.read_hidden(id, stream, begin, end, words);
          },
          [&](std::int64_t, const std::vector<std::byte>& words) {
            hash.update(words.data(), words.size());
          });
    hidden = hash.hex();
  }
  if (!record.sketches.empty()) record.sketches = reader.sketches(id);
  require_same(reader.path(), object, content_hash(record, logits, hidden), record.content);
  return true;
}

}  // namespace shardrift::record
