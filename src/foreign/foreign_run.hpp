// What is read of another program's file, before it becomes a record: prompts with rows of logits, or with
// lists of the most likely tokens.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "record/record.hpp"

namespace shardrift::foreign {

// The token that the row before chose: known once logits are looked at.
inline constexpr std::int32_t kChosenBefore = -1;

struct ForeignPrompt {
  std::string where;  // how messages begin: the file, the tensor or the line
  // prompt, rows (fed token and position, and with a top list what was chosen), top, stop. Without hashes.
  record::PromptRecord record;
  std::optional<std::int32_t> last;  // the generated token after the last row, where it is known
  // The words of rows [begin, end) into `words` (resized), of ForeignRun::dtype. Empty: only the top list is
  // known.
  std::function<void(std::int64_t begin, std::int64_t end, std::vector<std::byte>& words)> logits;
};

struct ForeignRun {
  DType dtype = DType::float32;  // of the logits
  std::int64_t vocabulary = 0;
  bool scored = false;                          // texts that were given, not generated
  std::map<std::string, std::string> settings;  // for /environment/settings
  std::vector<ForeignPrompt> prompts;
  std::vector<std::string> notes;  // what the user should know of how it was read

  bool has_logits() const { return !prompts.empty() && prompts.front().logits; }
};

// One row after the other from `first_position` on: row i was fed fed[i].
std::vector<record::Row> rows_of(const std::vector<std::int32_t>& fed, std::int64_t first_position);

// Throws bad_data "WHERE: token 99 at place 3 of WHAT: the vocabulary ends at 50".
void check_tokens(const std::vector<std::int32_t>& tokens, std::int64_t vocabulary, const std::string& where,
                  const char* what);

// Looks at all logits: fills what each row chose (of several largest the one that was generated, else the
// lowest id), the fed tokens that were not given, and the setting that says of log-probabilities that they
// are none. Throws bad_data naming row, token and value where one is not finite; of rows that are
// probabilities, and of logits beside log-probabilities.
// Returns what the user should know of them: finite masks (finite_masks.hpp).
std::optional<std::string> choose_all(ForeignRun& run);

// "score", "greedy" where every generated token is the one chosen before it, "follow" else. After choose_all.
std::string mode_of(const ForeignRun& run);

}  // namespace shardrift::foreign
