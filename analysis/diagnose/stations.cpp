#include "analysis/diagnose/stations.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "analysis/measure/alignment.hpp"
#include "analysis/measure/not_comparable.hpp"
#include "analysis/measure/rows.hpp"
#include "common/error.hpp"

namespace shardrift::analysis {
namespace {

using record::Operation;
using record::Point;
using record::Reader;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

std::string logits_setting(const Reader& run) {
  const auto& settings = run.run().environment.settings;
  const auto found = settings.find(kLogitsSetting);
  return found == settings.end() ? std::string() : found->second;
}

// Engines may give log-probabilities in the logits' place: they are logits less a number of each row.
bool has_log_probabilities(const Reader& run) {
  return logits_setting(run).starts_with("log-probabilities");
}

void to_log_probabilities(std::vector<double>& row) {
  std::vector<double> weights(row.size());
  const double top = top_of(row).value;
  const double sum = exp_row(row, top, weights);
  for (double& value : row) value -= top + std::log(sum);
}

bool both_have_logits(const Reader& target, const Reader& run, const std::string& id) {
  return target.has_logits(id) && run.has_logits(id);
}

// What all common prompts have in both.
Seen seen_in(const Reader& target, const Reader& run, const std::vector<std::string>& ids) {
  Seen seen = ids.empty() ? Seen::nothing : Seen::operations;
  for (const auto& id : ids) {
    const auto t = target.prompt(id);
    const auto r = run.prompt(id);
    const bool sketches =
        !t.sketches.empty() && !r.sketches.empty() && t.sketches.layers == r.sketches.layers;
    const bool streams =
        t.hidden.streams > 0 && t.hidden.streams == r.hidden.streams && t.hidden.width == r.hidden.width;
    const bool logits = both_have_logits(target, run, id);
    const Seen here = sketches  ? Seen::operations
                      : streams ? Seen::streams
                      : logits  ? Seen::logits
                                : Seen::nothing;
    seen = std::min(seen, here);
  }
  return seen;
}

Alignment aligned(const Reader& target, const record::PromptRecord& t, const Reader& run,
                  const record::PromptRecord& r) {
  if (t.prompt.tokens != r.prompt.tokens)
    throw bad_data("{}: prompt {} has other tokens than in {}: these runs did not get the same prompts",
                   run.path().string(), t.prompt.id, target.path().string());
  return align(t.rows, r.rows);
}

std::vector<std::string> common_prompts(const Reader& target, const Reader& run) {
  const auto in_run = run.prompt_ids();
  std::vector<std::string> ids;
  for (const auto& id : target.prompt_ids())
    if (std::find(in_run.begin(), in_run.end(), id) != in_run.end()) ids.push_back(id);
  return ids;
}

}  // namespace

bool is_cut_off(const Reader& run) {
  return logits_setting(run).find("cut off") != std::string::npos;
}

std::int64_t common_rows(const Reader& target, const Reader& run) {
  std::int64_t rows = 0;
  for (const auto& id : common_prompts(target, run))
    rows += aligned(target, target.prompt(id), run, run.prompt(id)).count;
  return rows;
}

Seen recorded_in(const Reader& run) {
  return seen_in(run, run, run.prompt_ids());
}

namespace {

class Walk {
 public:
  Walk(const Reader& target, const Reader& run, RunDistances& found)
      : target_(target),
        run_(run),
        found_(found),
        log_probabilities_(has_log_probabilities(target) || has_log_probabilities(run)) {}

  void measure(const std::vector<std::string>& ids) {
    found_.seen = seen_in(target_, run_, ids);
    for (const auto& id : target_.prompt_ids()) {
      const auto t = target_.prompt(id);
      if (std::find(ids.begin(), ids.end(), id) != ids.end()) add_prompt(id, t);
      before_ += static_cast<std::int64_t>(t.rows.size());
      for (auto& station : found_.stations) fill(station);
    }
  }

 private:
  void add_prompt(const std::string& id, const record::PromptRecord& t) {
    const auto r = run_.prompt(id);
    alignment_ = aligned(target_, t, run_, r);
    found_.rows += alignment_.count;
    if (found_.seen == Seen::operations) add_sketches(id);
    if (found_.seen == Seen::streams) add_streams(id, t, r);
    if (both_have_logits(target_, run_, id)) add_logits(id);
  }

  // The place of row `i` of the alignment among all rows of the target.
  std::size_t at(std::int64_t i) const {
    return static_cast<std::size_t>(before_ + alignment_.reference_begin + i);
  }

  void fill(StationDistances& station) const {
    station.distance.resize(static_cast<std::size_t>(before_), kNone);
    station.norm.resize(static_cast<std::size_t>(before_), kNone);
  }

  StationDistances& station(const Station& wanted) {
    auto found = std::find_if(found_.stations.begin(), found_.stations.end(),
                              [&](const auto& one) { return one.station == wanted; });
    if (found == found_.stations.end()) {
      found_.stations.push_back({wanted, {}, {}});
      fill(found_.stations.back());
      found = found_.stations.end() - 1;
    }
    found->distance.resize(static_cast<std::size_t>(before_ + alignment_.reference_begin + alignment_.count),
                           kNone);
    found->norm.resize(found->distance.size(), kNone);
    return *found;
  }

  void add_sketches(const std::string& id) {
    const auto t = target_.sketches(id);
    const auto r = run_.sketches(id);
    const std::int64_t points = record::point_count(t.layers);
    for (std::int64_t i = 0; i < points; ++i) {
      const Point point = record::point_at(i, t.layers);
      const Operation operation = point.operation;
      if (!t.has(operation) || !r.has(operation)) continue;
      const bool on_shards = record::on_shards(operation);
      // The logits themselves say more than their sketches.
      const bool whole = !record::per_shard(operation) &&
                         (operation != Operation::logits || !both_have_logits(target_, run_, id));
      if (whole) add_sketched({point, kWholeRow}, t, on_shards ? t.shards : 1, r, on_shards ? r.shards : 1);
      if (!on_shards || t.shards != r.shards || (t.shards == 1 && whole)) continue;
      for (int shard = 0; shard < t.shards; ++shard) add_sketched({point, shard}, t, 1, r, 1);
    }
  }

  // Of all shards' sketches the sum, or one shard's.
  void add_sketched(const Station& where, const record::Sketches& t, std::int64_t t_shards,
                    const record::Sketches& r, std::int64_t r_shards) {
    auto& sums = station(where);
    for (std::int64_t i = 0; i < alignment_.count; ++i) {
      double distance = 0;
      double norm = 0;
      for (int k = 0; k < kSketches; ++k) {
        const double x = sketch(t, where, t_shards, alignment_.reference_begin + i, k);
        const double y = sketch(r, where, r_shards, alignment_.candidate_begin + i, k);
        distance += (y - x) * (y - x);
        norm += x * x;
      }
      sums.distance[at(i)] = std::sqrt(distance / kSketches);
      sums.norm[at(i)] = std::sqrt(norm / kSketches);
    }
  }

  static double sketch(const record::Sketches& sketches, const Station& where, std::int64_t shards,
                       std::int64_t row, int k) {
    if (where.shard != kWholeRow) return sketches.at(where.point, where.shard, row)[k];
    double sum = 0;
    for (std::int64_t shard = 0; shard < shards; ++shard) sum += sketches.at(where.point, shard, row)[k];
    return sum;
  }

  void add_streams(const std::string& id, const record::PromptRecord& t, const record::PromptRecord& r) {
    for (std::int64_t stream = 0; stream < t.hidden.streams; ++stream) {
      auto& sums = station({stream == 0 ? Point{} : Point{Operation::mlp_residual, stream - 1}, kWholeRow});
      const auto read = [&](const Reader& reader, std::int64_t row, std::vector<std::byte>& words) {
        reader.read_hidden(id, stream, row, row + 1, words);
      };
      add_rows(sums, t.hidden.width, t.hidden.dtype, r.hidden.dtype, read, false);
    }
  }

  void add_logits(const std::string& id) {
    if (target_.run().model.vocabulary != run_.run().model.vocabulary)
      throw bad_data("{}: vocabulary of {}, {} has {}: these runs are of different models",
                     run_.path().string(), run_.run().model.vocabulary, target_.path().string(),
                     target_.run().model.vocabulary);
    auto& sums = station({{Operation::logits, 0}, kWholeRow});
    const auto read = [&](const Reader& reader, std::int64_t row, std::vector<std::byte>& words) {
      reader.read_logits(id, row, row + 1, words);
    };
    add_rows(sums, target_.run().model.vocabulary, target_.run().logits_dtype, run_.run().logits_dtype, read,
             true);
  }

  // read(reader, row, words)
  template <typename Read>
  void add_rows(StationDistances& sums, std::int64_t width, DType t_dtype, DType r_dtype, const Read& read,
                bool count) {
    x_.resize(static_cast<std::size_t>(width));
    y_.resize(x_.size());
    for (std::int64_t i = 0; i < alignment_.count; ++i) {
      read(target_, alignment_.reference_begin + i, t_words_);
      read(run_, alignment_.candidate_begin + i, r_words_);
      widen(t_dtype, t_words_.data(), x_);
      widen(r_dtype, r_words_.data(), y_);
      if (count && log_probabilities_)
        for (auto* row : {&x_, &y_}) to_log_probabilities(*row);
      double distance = 0;
      double norm = 0;
      for (std::size_t j = 0; j < x_.size(); ++j) {
        // Infinities that both have (masked tokens) are no difference.
        const double difference = x_[j] == y_[j] ? 0 : y_[j] - x_[j];
        distance += difference * difference;
        if (std::isfinite(x_[j])) norm += x_[j] * x_[j];
      }
      sums.distance[at(i)] = std::sqrt(distance);
      sums.norm[at(i)] = std::sqrt(norm);
      if (!count) continue;
      const bool same = storage_of(t_dtype) == storage_of(r_dtype) && t_words_ == r_words_;
      found_.rows_differ += same ? 0 : 1;
      if (same) continue;
      for (std::size_t j = 0; j < x_.size(); ++j) found_.elements_differ += x_[j] == y_[j] ? 0 : 1;
    }
  }

  const Reader& target_;
  const Reader& run_;
  RunDistances& found_;
  bool log_probabilities_;
  Alignment alignment_;
  std::int64_t before_ = 0;  // rows of the target's prompts so far
  std::vector<std::byte> t_words_, r_words_;
  std::vector<double> x_, y_;
};

}  // namespace

const StationDistances* RunDistances::find(const Station& station) const {
  const auto found =
      std::find_if(stations.begin(), stations.end(), [&](const auto& one) { return one.station == station; });
  return found == stations.end() ? nullptr : &*found;
}

std::vector<RowName> rows_of(const Reader& target) {
  std::vector<RowName> rows;
  for (const auto& id : target.prompt_ids()) {
    const auto prompt = target.prompt(id);
    for (std::size_t step = 0; step < prompt.rows.size(); ++step)
      rows.push_back({id, static_cast<std::int64_t>(step), prompt.rows[step].position});
  }
  return rows;
}

RunDistances distances(const Reader& target, const Reader& run) {
  RunDistances found;
  found.logits_dtype = run.run().logits_dtype;
  Walk(target, run, found).measure(common_prompts(target, run));
  return found;
}

}  // namespace shardrift::analysis
