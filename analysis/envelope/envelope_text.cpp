#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/envelope/envelope_presenters.hpp"
#include "common/counted.hpp"
#include "common/text_columns.hpp"

namespace shardrift::analysis {
namespace {

std::string tokens_text(const std::vector<std::int32_t>& ids, const std::vector<std::string>& vocab) {
  std::string text;
  for (const auto id : ids) {
    text += text.empty() ? "" : " | ";
    const auto index = static_cast<std::size_t>(id);
    text += index < vocab.size() ? fmt::format("{} {}", id, quoted(vocab[index], 20)) : std::to_string(id);
  }
  return text;
}

// "-" where there is none: a logit that is NaN in a run.
std::string number(double value) {
  return std::isnan(value) ? "-" : fmt::format("{:.3g}", value);
}

}  // namespace

std::string envelope_text(const std::vector<PromptEnvelope>& prompts, const std::vector<record::Reader>& runs,
                          std::size_t rows) {
  const auto& vocab = runs.front().run().model.vocab;
  std::int64_t positions = 0;
  const std::int64_t flips = flips_of(prompts);
  struct Shown {
    const PromptEnvelope* prompt;
    const EnvelopeRow* row;
  };
  std::vector<Shown> shown;
  double largest = 0;
  double mean = 0;
  for (const auto& prompt : prompts) {
    for (const auto& row : prompt.rows) {
      ++positions;
      if (std::isnan(row.max_spread) || row.max_spread > largest) largest = row.max_spread;  // NaN stays
      mean += row.mean_spread;
      shown.push_back({&prompt, &row});
    }
  }
  // Flips first, then the largest spread.
  std::stable_sort(shown.begin(), shown.end(), [](const Shown& a, const Shown& b) {
    const bool a_flips = a.row->chosen.size() > 1;
    const bool b_flips = b.row->chosen.size() > 1;
    if (a_flips != b_flips) return a_flips;
    const bool a_has = !std::isnan(a.row->max_spread);
    const bool b_has = !std::isnan(b.row->max_spread);
    return a_has && b_has ? a.row->max_spread > b.row->max_spread : b_has && !a_has;
  });
  TextColumns table({{"prompt", Align::left},
                     {"position", Align::right},
                     {"max spread", Align::right},
                     {"mean spread", Align::right},
                     {"margin", Align::right},
                     {"chosen", Align::left}});
  for (std::size_t i = 0; i < std::min(rows, shown.size()); ++i)
    table.add({shown[i].prompt->id, std::to_string(shown[i].row->position + 1),
               number(shown[i].row->max_spread), number(shown[i].row->mean_spread),
               number(shown[i].row->margin), tokens_text(shown[i].row->chosen, vocab)});
  return table.str() + fmt::format(
                           "{}, {} (counted from 1): largest spread of a logit {}, mean {}; {} "
                           "where the chosen "
                           "token depends on the run\n",
                           counted(runs.size(), "run"), counted(positions, "position"), number(largest),
                           number(positions == 0 ? 0.0 : mean / static_cast<double>(positions)),
                           counted(flips, "position"));
}

}  // namespace shardrift::analysis
