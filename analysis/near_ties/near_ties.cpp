#include "analysis/near_ties/near_ties.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "analysis/measure/differences.hpp"
#include "analysis/measure/rows.hpp"
#include "analysis/statistics/flip_law.hpp"
#include "common/error.hpp"
#include "parallel/plan/plan_json.hpp"
#include "parallel/profile/messages.hpp"

namespace shardrift::analysis {
namespace {

// Significant binary digits.
int digits_of(DType dtype) {
  switch (dtype) {
    case DType::float64:
      return 53;
    case DType::float32:
      return 24;
    case DType::tf32:
    case DType::float16:
      return 11;
    case DType::bfloat16:
      return 8;
  }
  return 24;
}

double standard_deviation(const std::vector<double>& row) {
  double sum = 0, squares = 0, count = 0;
  for (const double value : row) {
    if (!std::isfinite(value)) continue;
    sum += value;
    squares += value * value;
    ++count;
  }
  if (count == 0) return 0;
  return std::sqrt(std::max(0.0, squares / count - (sum / count) * (sum / count)));
}

// s of the rule above, for the steps of one record.
class Scale {
 public:
  Scale(const Plan& plan, const ModelConfig& config) : logits_(plan.logits_dtype) {
    const double u = std::ldexp(1.0, -digits_of(plan.dtype));
    double a_layer = 2;
    // The products' inputs: twice the stream, the heads' outputs, the MLP's.
    const auto adds =
        static_cast<double>(2 * config.hidden + config.query_heads * config.head_dim + config.intermediate);
    if (size_of(plan.dtype) >= size_of(DType::float32) && plan.dtype != DType::tf32)
      a_layer += 0.18 / 2 * adds;
    spread_ = u * std::sqrt(2 * a_layer * static_cast<double>(config.layers));
  }
  double of(const std::vector<double>& row, double top) const {
    const double spread = spread_ * standard_deviation(row);
    const double d = apart(top);
    return std::sqrt(spread * spread + d * d / 3);
  }
  // Of two neighbouring numbers at this logit.
  double apart(double top) const {
    return top == 0 || !std::isfinite(top) ? 0 : std::ldexp(1.0, std::ilogb(top) - digits_of(logits_) + 1);
  }

 private:
  double spread_ = 0;  // in standard deviations of the logits
  DType logits_;
};

// The messages of a record's passes, each compared once.
class Messages {
 public:
  Messages(const CollectiveProfile& a, const CollectiveProfile& b, const Plan& plan, std::int64_t hidden)
      : a_(a), b_(b), plan_(plan), hidden_(hidden) {}

  const MessageDiff& of(const record::Row& row) {
    const bool captured = plan_.launch == Launch::captured && row.phase == record::Phase::decode;
    const auto count = called_count(plan_, std::max(row.forward_rows, 1) * hidden_);
    auto& sent = sent_[{captured, count}];
    if (sent.rows++ == 0)
      sent.diff = diff_message(a_, b_, operation_of(plan_), storage_of(plan_.dtype), count, captured);
    return sent.diff;
  }
  std::vector<SentMessage> all() && {
    std::vector<SentMessage> all;
    for (auto& [key, sent] : sent_) all.push_back(std::move(sent));
    return all;
  }

 private:
  const CollectiveProfile& a_;
  const CollectiveProfile& b_;
  const Plan& plan_;
  std::int64_t hidden_;
  std::map<std::pair<bool, std::int64_t>, SentMessage> sent_;
};

enum class Reached { no, seldom, not_known, yes };

// Whether a sum of its own pass, in the row itself or in what it attends to there, is added otherwise.
Reached reached_in_pass(const record::Row& row, const MessageDiff& message, std::int64_t hidden) {
  if (!message.known()) return Reached::not_known;
  if (message.differs_throughout()) return Reached::yes;
  const std::int64_t last = std::max(row.batch_row, 0);
  const std::int64_t first =
      row.phase == record::Phase::prefill ? std::max<std::int64_t>(0, last - row.position) : last;
  const auto in = [&](const OtherOrder& one) {
    return one.begin < (last + 1) * hidden && first * hidden < one.end;
  };
  if (std::none_of(message.others.begin(), message.others.end(), in)) return Reached::no;
  return message.seldom() ? Reached::seldom : Reached::yes;
}

void require_ranks(const record::Reader& run, const Plan& plan, const CollectiveProfile& a,
                   const CollectiveProfile& b) {
  if (a.ranks != b.ranks)
    throw usage_error("{} is of {} ranks, {} of {}: compare profiles of as many ranks", a.file.string(),
                      a.ranks, b.file.string(), b.ranks);
  if (plan.row_linear == RowLinear::gather)
    throw usage_error(
        "{}: ran with --row-linear gather, which adds nothing across ranks: no order can change it",
        run.path().string());
  if (plan.shards != 1 && plan.shards != a.ranks)
    throw usage_error(
        "{}: is a run of {} shards, the profiles are of {} ranks: give a record of {} or of one device",
        run.path().string(), plan.shards, a.ranks, a.ranks);
}

}  // namespace

NearTies near_ties(const record::Reader& run, const ModelConfig& config, const CollectiveProfile& a,
                   const CollectiveProfile& b) {
  const auto& info = run.run();
  if (shards_of(info) == 0)
    throw bad_data(
        "{}: its plan does not say how many rows its passes had, so which sums they sent: predict both "
        "orders here "
        "(--run)",
        run.path().string());
  const Plan plan = plan_from_json(info.plan);
  require_ranks(run, plan, a, b);
  Plan called = plan;
  called.shards = a.ranks;
  NearTies ties;
  ties.record = run.path().string();
  ties.mixture = has_experts(config);
  Messages messages(a, b, called, config.hidden);
  const Scale scale(plan, config);
  const auto vocabulary = static_cast<std::size_t>(info.model.vocabulary);
  std::vector<std::byte> words;
  std::vector<double> logits(vocabulary);
  TopFinder finder;
  double squares = 0;
  const auto text_of = [&](std::int32_t token) {
    const auto& vocab = info.model.vocab;
    return token >= 0 && static_cast<std::size_t>(token) < vocab.size()
               ? vocab[static_cast<std::size_t>(token)]
               : std::string();
  };
  for (const auto& id : run.prompt_ids()) {
    if (!run.has_logits(id))
      throw bad_data(
          "{}: prompt '{}' has no logits, which say how far rounding moves them: record without --record "
          "top, "
          "or predict both orders here (--run)",
          run.path().string(), id);
    const auto prompt = run.prompt(id);
    // What a row depends on stays with all rows after it, in the KV cache.
    Reached before = Reached::no;
    for (std::size_t i = 0; i < prompt.rows.size(); ++i) {
      const auto& row = prompt.rows[i];
      ++ties.rows;
      before = std::max(before, reached_in_pass(row, messages.of(row), config.hidden));
      if (before == Reached::seldom) ++ties.seldom;
      if (before < Reached::not_known) continue;
      ++ties.reached;
      if (before == Reached::not_known) ++ties.not_known;
      const auto step = static_cast<std::int64_t>(i);
      run.read_logits(id, step, step + 1, words);
      widen(info.logits_dtype, words.data(), logits);
      const Top top = finder.find(logits, 2);
      NearTie one;
      one.prompt = id;
      one.step = step;
      one.position = row.position;
      one.chosen = row.chosen;
      one.margin = top.margin;
      one.scale = scale.of(logits, top.value);
      squares += one.scale * one.scale;
      for (const auto token : finder.ids())
        if (token != top.id) one.second = static_cast<std::int32_t>(token);
      one.chosen_text = text_of(one.chosen);
      one.second_text = text_of(one.second);
      const double gap = top.count > 1 ? scale.apart(top.value) / 2 : one.margin;
      if (one.scale > 0) one.probability = statistics::tail(statistics::LawShape::normal, gap / one.scale);
      ties.expected += one.probability;
      if (one.margin <= kReach * one.scale) ties.near.push_back(std::move(one));
    }
  }
  if (ties.reached > 0) ties.scale = std::sqrt(squares / static_cast<double>(ties.reached));
  ties.messages = std::move(messages).all();
  std::stable_sort(ties.near.begin(), ties.near.end(), [](const NearTie& x, const NearTie& y) {
    return x.margin * y.scale < y.margin * x.scale;
  });
  return ties;
}

std::int64_t OrderRun::named() const {
  return std::count_if(flips.begin(), flips.end(), [](const OrderFlip& flip) { return flip.named; });
}

OrderRun order_run(const NearTies& ties, const Measurement& of_a, const Measurement* with_record) {
  OrderRun run;
  run.a = of_a.reference.path;
  run.b = of_a.candidate.path;
  double squares = 0, divergence = 0;
  std::int64_t measured = 0;
  const auto is_named = [&](const std::string& id, std::int64_t step) {
    return std::any_of(ties.near.begin(), ties.near.end(),
                       [&](const NearTie& one) { return one.step == step && one.prompt == id; });
  };
  for (const auto& prompt : of_a.prompts) {
    for (const auto& step : prompt.steps) {
      ++run.rows;
      if (step.measured) {
        ++measured;
        if (step.differs()) ++run.rows_differ;
        squares += step.rms * step.rms;
        divergence += step.kl;
      }
      if (!step.flipped()) continue;
      run.flips.push_back({prompt.id, step.step, step.chosen_reference, step.chosen_candidate,
                           step.margin_reference, is_named(prompt.id, step.step)});
    }
  }
  if (measured > 0) {
    run.rms = std::sqrt(squares / static_cast<double>(measured));
    run.kl_mean = divergence / static_cast<double>(measured);
  }
  const auto rows = statistics::margin_rows(of_a);
  double moved = 0;
  for (const auto& row : rows) moved += row.moved * row.moved;
  if (!rows.empty()) run.measured_scale = std::sqrt(moved / static_cast<double>(rows.size()));
  if (moved > 0) {
    const statistics::FlipLawFitter fitter(rows);
    if (const auto law = fitter.fit(statistics::Drawn(of_a.prompts.size(), 1))) run.law = law->formula();
  }
  if (with_record != nullptr) {
    run.rows_of_record = 0;
    for (const auto& prompt : with_record->prompts)
      *run.rows_of_record += std::count_if(prompt.steps.begin(), prompt.steps.end(),
                                           [](const Step& step) { return step.measured && step.bit_equal; });
  }
  return run;
}

}  // namespace shardrift::analysis
