#include "analysis/explain/growth.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>

#include "analysis/measure/rows.hpp"
#include "analysis/statistics/percentiles.hpp"

namespace shardrift::analysis {
namespace {

constexpr std::int64_t kBlockBytes = 1 << 20;  // of one file's rows in memory at a time

// Sums over the rows of a group, before means are taken.
struct GroupSums {
  RowGroup group;
  double squares = 0;  // of row RMS values: rows have equally many elements
  double kl = 0;
  std::string last_prompt;  // steps come prompt by prompt

  void add(const PromptMeasurement& prompt, const Step& step) {
    if (group.rows == 0 || last_prompt != prompt.id) ++group.prompts;
    last_prompt = prompt.id;
    ++group.rows;
    group.rows_bit_equal += step.bit_equal ? 1 : 0;
    group.flips += step.flipped() ? 1 : 0;
    // A row without a value, or without that of some elements, leaves the group without one.
    const bool whole = step.not_finite == 0;
    squares += whole ? step.rms * step.rms : kNoValue;
    kl += step.kl;
    const double largest = whole ? step.max_abs : kNoValue;
    if (group.rows == 1 || std::isnan(largest) || largest > group.max_abs) group.max_abs = largest;
  }
  RowGroup finish() const {
    RowGroup result = group;
    const auto count = static_cast<double>(group.rows);
    result.rms = std::sqrt(squares / count);
    result.kl_mean = kl / count;
    return result;
  }
};

std::vector<RowGroup> grouped(
    const Measurement& measurement,
    const std::function<std::int64_t(const PromptMeasurement&, const Step&)>& key_of) {
  std::map<std::int64_t, GroupSums> sums;
  for (const auto& prompt : measurement.prompts)
    for (const auto& step : prompt.steps) {
      if (!step.measured) continue;
      const std::int64_t key = key_of(prompt, step);
      GroupSums& group = sums[key];
      group.group.begin = key;
      group.group.end = key + 1;
      group.add(prompt, step);
    }
  std::vector<RowGroup> groups;
  for (const auto& [key, group] : sums) groups.push_back(group.finish());
  return groups;
}

}  // namespace

bool StreamSums::add(const record::Reader& reference, const record::Reader& candidate, const std::string& id,
                     const record::Hidden& r, const record::Hidden& c, const Alignment& alignment) {
  if (r.streams == 0 || r.streams != c.streams || r.width != c.width) return false;
  if (!streams_.empty() && streams_.size() != static_cast<std::size_t>(r.streams)) return false;
  streams_.resize(static_cast<std::size_t>(r.streams));
  x_.resize(static_cast<std::size_t>(r.width));
  y_.resize(x_.size());
  const auto r_bytes = static_cast<std::size_t>(r.width) * size_of(r.dtype);
  const auto c_bytes = static_cast<std::size_t>(c.width) * size_of(c.dtype);
  const std::int64_t block =
      std::max<std::int64_t>(1, kBlockBytes / static_cast<std::int64_t>(std::max(r_bytes, c_bytes)));
  std::vector<std::byte> x;
  std::vector<std::byte> y;
  for (std::int64_t stream = 0; stream < r.streams; ++stream) {
    Sums& sums = streams_[static_cast<std::size_t>(stream)];
    sums.counts.stream = stream;
    for (std::int64_t begin = 0; begin < alignment.count; begin += block) {
      const std::int64_t end = std::min(alignment.count, begin + block);
      reference.read_hidden(id, stream, alignment.reference_begin + begin, alignment.reference_begin + end,
                            x);
      candidate.read_hidden(id, stream, alignment.candidate_begin + begin, alignment.candidate_begin + end,
                            y);
      for (std::size_t row = 0; row < static_cast<std::size_t>(end - begin); ++row)
        add_row(sums, x.data() + row * r_bytes, y.data() + row * c_bytes, r, c);
    }
  }
  return true;
}

void StreamSums::add_row(Sums& sums, const std::byte* reference, const std::byte* candidate,
                         const record::Hidden& r, const record::Hidden& c) {
  StreamGrowth& counts = sums.counts;
  ++counts.rows;
  widen(r.dtype, reference, x_);
  widen(c.dtype, candidate, y_);
  const bool same_dtype = r.dtype == c.dtype;
  const std::size_t size = size_of(r.dtype);
  std::int64_t differ = 0;
  double of_reference = 0;
  double of_difference = 0;
  for (std::size_t i = 0; i < x_.size(); ++i) {
    const bool same = same_dtype ? std::memcmp(reference + i * size, candidate + i * size, size) == 0
                                 : x_[i] == y_[i] || (std::isnan(x_[i]) && std::isnan(y_[i]));
    differ += same ? 0 : 1;
    if (!std::isfinite(x_[i]) || !std::isfinite(y_[i])) continue;
    ++counts.elements;
    of_reference += x_[i] * x_[i];
    of_difference += (y_[i] - x_[i]) * (y_[i] - x_[i]);
  }
  counts.elements_differ += differ;
  counts.rows_differ += differ > 0 ? 1 : 0;
  sums.squares_reference += of_reference;
  sums.squares_difference += of_difference;
  if (of_reference > 0) sums.rows.push_back(std::sqrt(of_difference / of_reference));
}

std::vector<StreamGrowth> StreamSums::growth() const {
  std::vector<StreamGrowth> all;
  for (const auto& sums : streams_) {
    StreamGrowth growth = sums.counts;
    const auto count = static_cast<double>(std::max<std::int64_t>(1, growth.elements));
    growth.rms_reference = std::sqrt(sums.squares_reference / count);
    growth.rms_difference = std::sqrt(sums.squares_difference / count);
    growth.row_median = statistics::percentile(sums.rows, 0.5);
    growth.row_low = statistics::percentile(sums.rows, 0.1);
    growth.row_high = statistics::percentile(sums.rows, 0.9);
    all.push_back(growth);
  }
  return all;
}

std::vector<RowGroup> by_position(const Measurement& measurement) {
  return grouped(measurement,
                 [](const PromptMeasurement& /*prompt*/, const Step& step) { return step.position; });
}

std::vector<RowGroup> by_prompt_length(const Measurement& measurement) {
  return grouped(measurement,
                 [](const PromptMeasurement& prompt, const Step& /*step*/) { return prompt.prompt_tokens; });
}

std::vector<RowGroup> by_position_range(const Measurement& measurement) {
  // 0, then 1, 2-3, 4-7, …: a range is known by its first position, the power of two below.
  auto ranges = grouped(measurement, [](const PromptMeasurement& /*prompt*/, const Step& step) {
    return static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint32_t>(step.position)));
  });
  for (auto& range : ranges) range.end = range.begin == 0 ? 1 : 2 * range.begin;
  return ranges;
}

std::optional<std::int64_t> Explanation::first_stream() const {
  for (const auto& growth : streams)
    if (growth.rows_differ > 0) return growth.stream;
  return std::nullopt;
}

}  // namespace shardrift::analysis
