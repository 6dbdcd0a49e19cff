#include "foreign/generated_tokens.hpp"

#include <optional>

#include "common/error.hpp"
#include "record/shifted_rows.hpp"

namespace shardrift::foreign {
namespace {

using record::ShiftedRows;

bool chose_before(const ShiftedRows::Shift& shift) {
  return shift.chose == ShiftedRows::Chose::token_before;
}

std::string count_of(const ShiftedRows::Shift& shift) {
  return fmt::format("in {} of {} rows the largest is that of the token {} it ({} are right)", shift.so,
                     shift.rows, chose_before(shift) ? "before" : "after", shift.right);
}

const char* mend(const ShiftedRows::Shift& shift) {
  return chose_before(shift)
             ? "leave out the first row, which chose the prompt's last token, and the last generated token"
             : "the first row, that after the prompt's last token, is missing: save it too, or count the "
               "first "
               "generated token to the prompt";
}

// Where nothing is off, and the model chooses the token that it was just fed, say.
std::string way_around(const ForeignRun& run) {
  const auto length = run.prompts.front().record.prompt.tokens.size();
  const bool alike = std::all_of(run.prompts.begin(), run.prompts.end(), [&](const auto& prompt) {
    return prompt.record.prompt.tokens.size() == length;
  });
  return fmt::format(
      "If the model really chooses so, import the text as one that was given: --tokens FILE (in safetensors "
      "ID.tokens), the prompt's and the generated tokens in one, with --first-position {}{}",
      length - 1, alike ? "" : " for prompts of this length, the others in imports of their own");
}

}  // namespace

std::vector<std::string> check_places(const ForeignRun& run) {
  std::vector<std::string> single;
  if (run.scored || !run.has_logits()) return single;
  ShiftedRows all;
  for (const auto& prompt : run.prompts) {
    all.add(prompt.record);
    ShiftedRows own;
    own.add(prompt.record);
    if (const auto shift = own.shift())
      single.push_back(
          fmt::format("{}: its rows seem to be one place off, though not those of all prompts: {}; if so, {}",
                      prompt.where, count_of(*shift), mend(*shift)));
  }
  if (const auto shift = all.shift())
    throw bad_data(
        "{}: rows are one place off: row i has to hold the logits that chose generated token i, but {}: {}. "
        "{}",
        run.prompts.front().where, count_of(*shift), mend(*shift), way_around(run));
  return single;
}

std::optional<std::string> sampled_tokens(const ForeignRun& run) {
  if (run.scored) return std::nullopt;
  std::int64_t looked_at = 0, others = 0;
  std::string first;
  for (const auto& prompt : run.prompts) {
    const auto& record = prompt.record;
    const auto tokens = static_cast<std::int64_t>(record.prompt.tokens.size());
    for (std::size_t i = 0; i < record.rows.size(); ++i) {
      const auto place = record.rows[i].position + 1 - tokens;  // of the token that the row chose
      const auto made = i + 1 < record.rows.size() ? std::optional(record.rows[i + 1].input_id) : prompt.last;
      if (place < 0 || !made) continue;
      ++looked_at;
      if (*made == record.rows[i].chosen) continue;
      if (others++ == 0) first = fmt::format("{}, generated token {}", prompt.where, place);
    }
  }
  if (others == 0) return std::nullopt;
  return fmt::format(
      "{} of {} generated tokens {} not the most likely of {} row (sampled, or another model's?): mode "
      "follow (first: {})",
      others, looked_at, others == 1 ? "is" : "are", others == 1 ? "its" : "their", first);
}

}  // namespace shardrift::foreign
