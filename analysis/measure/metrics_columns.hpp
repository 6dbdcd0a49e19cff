// The numbers of a Step and of a PromptMeasurement as named columns: one list for writing, reading and CSV.
#pragma once
#include "analysis/measure/measurement.hpp"

namespace shardrift::analysis {

// visit(name, pointer to member, description) for every field, in file order.
template <typename Visit>
void each_step_column(Visit&& visit) {
  visit("step", &Step::step, "row of the reference, from 0");
  visit("candidate_step", &Step::candidate_step, "row of the candidate, from 0");
  visit("position", &Step::position, "of the fed token, from 0");
  visit("input_id", &Step::input_id, "the fed token");
  visit("phase", &Step::phase, "0 = prefill, 1 = decode");
  visit("measured", &Step::measured, "1 = both files have logits");
  visit("bit_equal", &Step::bit_equal,
        "1 = the same stored words; 0 between dtypes, which have no bits to compare");
  visit("elements_differ", &Step::elements_differ, "words that differ; between dtypes: values");
  visit("not_finite", &Step::not_finite, "pairs without a finite difference, left out of the next five");
  visit("max_abs", &Step::max_abs, "max |y - x|");
  visit("mean_abs", &Step::mean_abs, "mean |y - x|");
  visit("rms", &Step::rms, "sqrt(mean (y - x)^2)");
  visit("max_ulp", &Step::max_ulp, "units in the last place of the logits' dtype");
  visit("mean_ulp", &Step::mean_ulp, "units in the last place of the logits' dtype");
  visit("kl", &Step::kl, "KL(reference || candidate), nats");
  visit("kl_reverse", &Step::kl_reverse, "KL(candidate || reference), nats");
  visit("js", &Step::js, "Jensen-Shannon divergence, nats");
  visit("tv", &Step::tv, "total variation");
  visit("chosen_reference", &Step::chosen_reference, "argmax, lowest id at ties");
  visit("chosen_candidate", &Step::chosen_candidate, "argmax, lowest id at ties");
  visit("p_reference", &Step::p_reference, "reference's probability of chosen_reference");
  visit("p_candidate", &Step::p_candidate, "candidate's probability of chosen_reference");
  visit("p_own", &Step::p_own, "candidate's probability of chosen_candidate");
  visit("p_next", &Step::p_next, "reference's probability of the token it was given next");
  visit("log_ratio", &Step::log_ratio, "log candidate's minus log reference's probability of that token");
  visit("regret", &Step::regret, "log p of chosen_reference minus of chosen_candidate, in the reference");
  visit("margin_reference", &Step::margin_reference, "top-1 minus top-2 logit");
  visit("margin_candidate", &Step::margin_candidate, "top-1 minus top-2 logit");
  visit("ties_reference", &Step::ties_reference, "elements of exactly the top value");
  visit("ties_candidate", &Step::ties_candidate, "elements of exactly the top value");
  visit("top_overlap", &Step::top_overlap, "tokens that both top-10 sets have");
  visit("rank_of_choice", &Step::rank_of_choice,
        "of chosen_reference in the candidate, 1 = top, 0 = no value");
  visit("route_flips", &Step::route_flips, "layers that sent the token to other experts, NaN = no routes");
  visit("route_drift", &Step::route_drift, "max |difference of the experts' weights| in the other layers");
}

template <typename Visit>
void each_routes_column(Visit&& visit) {
  visit("layer", &LayerRoutes::layer, "number of a layer with experts");
  visit("flips", &LayerRoutes::flips, "tokens that it sent to other experts");
  visit("first_flip", &LayerRoutes::first_flip, "position of the first of them, -1 = none");
  visit("sum_drift", &LayerRoutes::sum_drift, "of |difference of an expert's weight|, over the other tokens");
  visit("max_drift", &LayerRoutes::max_drift, "the largest of these");
}

}  // namespace shardrift::analysis
