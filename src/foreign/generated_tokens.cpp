#include "foreign/generated_tokens.hpp"

#include <algorithm>
#include <span>

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

// A tie of a top list: the token that was fed next is as likely as the first.
bool as_likely(const record::Top& top, std::size_t row, std::int32_t token) {
  const auto k = static_cast<std::size_t>(top.k);
  if (k == 0) return false;
  const std::span ids(top.ids.data() + row * k, k);
  const auto at = std::find(ids.begin(), ids.end(), token) - ids.begin();
  const float* const values = top.log_probabilities.data() + row * k;
  return at < top.k && values[at] == values[0];
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
  std::int64_t looked_at = 0, others = 0, ties = 0;
  std::string first;
  for (const auto& prompt : run.prompts) {
    const auto& record = prompt.record;
    for (std::size_t i = 0; i + 1 < record.rows.size(); ++i) {
      const auto& next = record.rows[i + 1];
      const auto place = next.position - static_cast<std::int64_t>(record.prompt.tokens.size());
      if (place < 0) continue;
      ++looked_at;
      if (next.input_id == record.rows[i].chosen) continue;
      if (others++ == 0) first = fmt::format("{}, generated token {}", prompt.where, place);
      ties += as_likely(record.top, i, next.input_id) ? 1 : 0;
    }
  }
  if (others == 0) return std::nullopt;
  return fmt::format(
      "{} of {} generated tokens {} not the most likely of {} row{}: mode follow (first: {})", others,
      looked_at, others == 1 ? "is" : "are", others == 1 ? "its" : "their",
      ties == others ? ", but as likely, and of a tie the lowest id counts"
      : ties > 0
          ? fmt::format(" ({} of them as likely, of a tie; the others were sampled, or are another model's?)",
                        ties)
          : " (sampled, or another model's?)",
      first);
}

}  // namespace shardrift::foreign
