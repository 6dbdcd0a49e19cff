#include "analysis/explain/ladder.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <set>

#include "analysis/explain/explain_runs.hpp"
#include "analysis/measure/alignment.hpp"
#include "analysis/measure/metrics.hpp"
#include "analysis/measure/run_summary.hpp"
#include "analysis/statistics/metric.hpp"
#include "common/error.hpp"
#include "common/names_text.hpp"

namespace shardrift::analysis {
namespace {

using record::PromptRecord;
using record::Reader;

constexpr std::int64_t kBlockBytes = 1 << 20;  // of one file's rows in memory at a time

std::int64_t bits_between(const std::byte* a, const std::byte* b, std::size_t bytes) {
  std::int64_t bits = 0;
  std::size_t i = 0;
  for (; i + 8 <= bytes; i += 8) {
    std::uint64_t x = 0;
    std::uint64_t y = 0;
    std::memcpy(&x, a + i, 8);
    std::memcpy(&y, b + i, 8);
    bits += std::popcount(x ^ y);
  }
  for (; i < bytes; ++i) bits += std::popcount(static_cast<unsigned>(a[i] ^ b[i]));
  return bits;
}

// LogitDifference before its means are taken.
struct DifferenceSums {
  LogitDifference counts;
  double squares = 0;
  double finite = 0;  // pairs with a finite difference
  double kl = 0;

  void add(const Step& step, std::int64_t bits, std::int64_t elements) {
    counts.rows_differ += step.bit_equal ? 0 : 1;
    counts.elements_differ += step.elements_differ;
    counts.bits += bits;
    counts.flips += step.flipped() ? 1 : 0;
    const auto count = static_cast<double>(elements - step.not_finite);
    if (count > 0) squares += step.rms * step.rms * count;
    finite += count;
    kl += step.kl;
  }
  LogitDifference finish(std::int64_t rows) const {
    LogitDifference result = counts;
    if (finite > 0) result.rms = std::sqrt(squares / finite);
    result.kl_mean = kl / static_cast<double>(rows);
    return result;
  }
};

// One prompt in all runs: the rows [begin, end) of the first run that all others have too.
struct CommonRows {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::vector<std::int64_t> offsets;  // row r of the first is row r + offset of another
};

CommonRows common_rows(const std::vector<PromptRecord>& prompts) {
  CommonRows common;
  common.end = static_cast<std::int64_t>(prompts.front().rows.size());
  for (const auto& prompt : prompts) {
    const Alignment alignment = align(prompts.front().rows, prompt.rows);
    common.begin = std::max(common.begin, alignment.reference_begin);
    common.end = std::min(common.end, alignment.reference_begin + alignment.count);
    common.offsets.push_back(alignment.candidate_begin - alignment.reference_begin);
  }
  common.end = std::max(common.begin, common.end);
  return common;
}

void require_logits(const Reader& reader, const std::string& id) {
  if (!reader.has_logits(id))
    throw bad_data("{}: prompt {} has no logits: record them, --record logits", reader.path().string(), id);
}

class LadderSums {
 public:
  explicit LadderSums(const std::vector<RungFile>& files) : files_(files) {
    for (const auto& file : files) {
      const auto ids = readers_.emplace_back(Reader::open(file.path)).prompt_ids();
      ids_.emplace_back(ids.begin(), ids.end());
    }
    const auto& run = readers_.front().run();
    vocabulary_ = run.model.vocabulary;
    row_bytes_ = static_cast<std::size_t>(vocabulary_) * size_of(run.logits_dtype);
    for (const auto& reader : readers_) {
      if (reader.run().model.vocabulary != vocabulary_)
        throw bad_data("{}: vocabulary of {}, {} has {}: these runs are of different models",
                       reader.path().string(), reader.run().model.vocabulary,
                       readers_.front().path().string(), vocabulary_);
      if (storage_of(reader.run().logits_dtype) != storage_of(run.logits_dtype))
        throw bad_data("{}: logits in {}, {} has {}: the rungs of a ladder change one thing at a time",
                       reader.path().string(), name_of(reader.run().logits_dtype),
                       readers_.front().path().string(), name_of(run.logits_dtype));
      rows_.emplace_back();
    }
    comparer_ = std::make_unique<RowComparer>(run.logits_dtype, run.logits_dtype, vocabulary_);
    step_.resize(files.size());
    total_.resize(files.size());
    first_.resize(files.size());
  }

  void add(const std::string& id) {
    std::vector<PromptRecord> prompts;
    for (std::size_t i = 0; i < readers_.size(); ++i) {
      const Reader& reader = readers_[i];
      const auto left_out = [&](const char* why) {
        left_out_[fmt::format("{}{} {}", reader.path().string(), reader.complete() ? "" : " (partial)", why)]
            .push_back(id);
      };
      if (!ids_[i].contains(id)) return left_out("lacks");
      prompts.push_back(reader.prompt(id));
      if (prompts.back().prompt.tokens != prompts.front().prompt.tokens)
        return left_out("was fed other tokens for");
      require_logits(reader, id);
    }
    const CommonRows common = common_rows(prompts);
    add_rows(id, prompts, common);
    add_firsts(prompts, common);
    ++prompts_;
  }

  Ladder finish() {
    Ladder ladder;
    ladder.prompts = prompts_;
    ladder.rows = rows_compared_;
    ladder.elements = rows_compared_ * vocabulary_;
    constexpr std::size_t kNamed = 8;
    for (const auto& [who, ids] : left_out_)
      ladder.notes.push_back(
          fmt::format("left out: {} prompt{} {}", who, ids.size() == 1 ? "" : "s", names_text(ids, kNamed)));
    if (rows_compared_ == 0)
      throw bad_data("{}: no row was fed the same tokens in all {} runs{}", readers_.front().path().string(),
                     readers_.size(), ladder.notes.empty() ? "" : ": " + ladder.notes.front());
    for (std::size_t i = 0; i < files_.size(); ++i) {
      LadderRung rung;
      rung.name = files_[i].name;
      rung.kind = files_[i].kind;
      rung.run = summary_of(readers_[i]);
      if (i > 0) {
        rung.step = step_[i].finish(ladder.rows);
        rung.total = total_[i].finish(ladder.rows);
        rung.first = first_[i];
      }
      ladder.rungs.push_back(std::move(rung));
    }
    double squares = 0;
    for (const auto& rung : ladder.rungs)
      if (!std::isnan(rung.step.rms)) squares += rung.step.rms * rung.step.rms;
    if (squares > 0)
      for (std::size_t i = 1; i < ladder.rungs.size(); ++i)
        ladder.rungs[i].share = ladder.rungs[i].step.rms * ladder.rungs[i].step.rms / squares;
    const double whole = ladder.rungs.back().total.rms;
    if (whole > 0) ladder.additivity = squares / (whole * whole);
    ladder.has_real = files_.back().kind == RungKind::real;
    return ladder;
  }

  const std::vector<Reader>& readers() const { return readers_; }

 private:
  void add_rows(const std::string& id, const std::vector<PromptRecord>& prompts, const CommonRows& common) {
    const auto block = std::max<std::int64_t>(1, kBlockBytes / static_cast<std::int64_t>(row_bytes_));
    for (std::int64_t begin = common.begin; begin < common.end; begin += block) {
      const std::int64_t end = std::min(common.end, begin + block);
      for (std::size_t i = 0; i < readers_.size(); ++i)
        readers_[i].read_logits(id, begin + common.offsets[i], end + common.offsets[i], rows_[i]);
      for (std::int64_t row = begin; row < end; ++row) {
        add_row(prompts, common, row, static_cast<std::size_t>(row - begin) * row_bytes_);
        ++rows_compared_;
      }
    }
  }

  void add_row(const std::vector<PromptRecord>& prompts, const CommonRows& common, std::int64_t row,
               std::size_t at) {
    for (std::size_t i = 1; i < readers_.size(); ++i) {
      compare(prompts, common, row, at, i - 1, i, step_[i]);
      compare(prompts, common, row, at, 0, i, total_[i]);
    }
  }

  void compare(const std::vector<PromptRecord>& prompts, const CommonRows& common, std::int64_t row,
               std::size_t at, std::size_t x, std::size_t y, DifferenceSums& sums) {
    Step step;
    step.chosen_reference = prompts[x].rows[static_cast<std::size_t>(row + common.offsets[x])].chosen;
    step.chosen_candidate = prompts[y].rows[static_cast<std::size_t>(row + common.offsets[y])].chosen;
    const std::byte* a = rows_[x].data() + at;
    const std::byte* b = rows_[y].data() + at;
    comparer_->compare(a, b, RowComparer::kNoToken, step);
    sums.add(step, step.bit_equal ? 0 : bits_between(a, b, row_bytes_), vocabulary_);
  }

  void add_firsts(const std::vector<PromptRecord>& prompts, const CommonRows& common) {
    for (std::size_t i = 1; i < prompts.size(); ++i) {
      const auto& x = prompts[i - 1];
      const auto& y = prompts[i];
      if (x.checksums.empty() || y.checksums.empty() || x.checksums.layers != y.checksums.layers) continue;
      const Comparability comparable = comparability(readers_[i - 1].run(), readers_[i].run());
      for (std::int64_t row = common.begin; row < common.end; ++row) {
        const std::int64_t of_x = row + common.offsets[i - 1];
        const auto point = first_point(x.checksums, of_x, y.checksums, row + common.offsets[i], comparable);
        const auto& kept = first_[i];
        const std::int64_t layers = x.checksums.layers;
        if (!point || (kept && *point >= index_of(kept->point, layers))) continue;
        first_[i] = FirstDifference{record::point_at(*point, layers), x.prompt.id, of_x,
                                    x.rows[static_cast<std::size_t>(of_x)].position};
      }
    }
  }

  const std::vector<RungFile>& files_;
  std::vector<Reader> readers_;
  std::vector<std::set<std::string>> ids_;                    // of each one's prompts
  std::map<std::string, std::vector<std::string>> left_out_;  // prompts, by who lacks them
  std::int64_t vocabulary_ = 0;
  std::size_t row_bytes_ = 0;
  std::vector<std::vector<std::byte>> rows_;  // of each run, a block
  std::unique_ptr<RowComparer> comparer_;
  std::vector<DifferenceSums> step_, total_;
  std::vector<std::optional<FirstDifference>> first_;
  std::int64_t prompts_ = 0;
  std::int64_t rows_compared_ = 0;
};

LadderRepeats repeats_of(const RungFile& last, const LogitDifference& step,
                         const std::vector<std::filesystem::path>& repeats) {
  LadderRepeats found;
  for (const auto& path : repeats) {
    const Ladder pair = measure_ladder({last, {name_of_run(path), std::nullopt, path}});
    const LogitDifference& moved = pair.rungs.back().step;
    found.rows += pair.rows;
    found.rows_differ += moved.rows_differ;
    if (found.names.empty() || moved.rms > found.largest.rms) found.largest = moved;
    found.names.push_back(name_of_run(path));
  }
  using statistics::FloorRule;
  found.rms_above = statistics::above_floor(step.rms, found.largest.rms, FloorRule::quadrature);
  found.kl_above = statistics::above_floor(step.kl_mean, found.largest.kl_mean, FloorRule::difference);
  return found;
}

}  // namespace

void require_logits(const Reader& reader) {
  for (const auto& id : reader.prompt_ids()) require_logits(reader, id);
}

Ladder measure_ladder(const std::vector<RungFile>& files, const std::vector<std::filesystem::path>& repeats) {
  if (files.size() < 2) throw usage_error("explain: a ladder has two rungs or more");
  LadderSums sums(files);
  for (const auto& id : sums.readers().front().prompt_ids()) sums.add(id);
  Ladder ladder = sums.finish();
  if (!repeats.empty()) ladder.repeats = repeats_of(files.back(), ladder.rungs.back().step, repeats);
  return ladder;
}

}  // namespace shardrift::analysis
