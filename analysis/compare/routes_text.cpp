// Routes of mixtures of experts: flips apart from drift.
#include <fmt/format.h>

#include <cmath>

#include "analysis/compare/comparison_presenters.hpp"
#include "analysis/measure/routes.hpp"
#include "common/error.hpp"
#include "common/text_columns.hpp"
#include "weights/model_config.hpp"

namespace shardrift::analysis {
namespace {

std::string share(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? "-"
                    : fmt::format("{:.3g}%", 100 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string drift(double value) {
  return std::isnan(value) ? "-" : fmt::format("{:.3g}", value);
}

bool is_mixture(const record::RunInfo& run) {
  try {
    return has_experts(parse_model_config(run.model.config, "config.json"));
  } catch (const Error&) {
    return false;  // a model that this version does not know: nothing is said of its routes
  }
}

std::string why_none(bool reference, bool candidate) {
  if (!reference && !candidate) return "";
  if (reference != candidate)
    return fmt::format("routes: not compared, of the two models only the {}'s is a mixture of experts\n",
                       reference ? "reference" : "candidate");
  return "routes: not compared, one record has none, or they are of other layers or another number of "
         "experts\n";
}

double mean_of(const LayerRoutes& layer, const RouteTotals& totals) {
  const std::int64_t weights = (totals.tokens - layer.flips) * totals.k;
  return weights == 0 ? kNoValue : layer.sum_drift / static_cast<double>(weights);
}

}  // namespace

std::string routes_text(const Measurement& measurement) {
  const auto totals = routes_of(measurement);
  if (!totals) return why_none(is_mixture(measurement.reference.run), is_mixture(measurement.candidate.run));
  std::string text =
      fmt::format("routes: {} tokens fed alike through {} layer{} with experts, {} a token (layers from 0)\n",
                  totals->tokens, totals->layers.size(), totals->layers.size() == 1 ? "" : "s", totals->k);
  TextColumns table({{"layer", Align::right},
                     {"flipped", Align::right},
                     {"of tokens", Align::right},
                     {"first at position", Align::right},
                     {"drift max", Align::right},
                     {"drift mean", Align::right}});
  for (const auto& layer : totals->layers)
    table.add({std::to_string(layer.layer), std::to_string(layer.flips), share(layer.flips, totals->tokens),
               layer.first_flip < 0 ? "-" : std::to_string(layer.first_flip + 1),
               drift(layer.flips == totals->tokens ? kNoValue : layer.max_drift),
               drift(mean_of(layer, *totals))});
  table.add({"all", std::to_string(totals->pairs_flipped()), share(totals->pairs_flipped(), totals->pairs()),
             totals->first_flip ? std::to_string(totals->first_flip->position + 1) : "-",
             drift(totals->pairs_flipped() == totals->pairs() ? kNoValue : totals->max_drift()),
             drift(totals->mean_drift())});
  text += table.str();
  if (!totals->first_flip) return text + "no token went to another expert\n";
  return text +
         fmt::format(
             "{} of {} tokens ({}) went to other experts in a layer; first position {} of {}, layer {}\n",
             totals->tokens_flipped, totals->tokens, share(totals->tokens_flipped, totals->tokens),
             totals->first_flip->position + 1, totals->first_flip->prompt, totals->first_flip->layer);
}

}  // namespace shardrift::analysis
