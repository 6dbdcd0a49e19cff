#include "worker/traces.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace shardrift {

PassTraces::PassTraces(const Trace& trace, const ModelConfig& config, const Plan& plan, const Place& place,
                       const Communicator& replica)
    : trace_(trace),
      config_(config),
      plan_(plan),
      place_(place),
      replica_(replica),
      writer_(writing_rank(plan)) {}

void PassTraces::collect() {
  if (trace_.options().checksums) {
    sums_.assign(trace_.sums().begin(), trace_.sums().end());
    replica_.sum_to(sums_, writer_);
  }
  if (trace_.options().sketches) {
    // A number is one rank's, and +0 elsewhere: the sum of the words is its word.
    sketches_.resize(trace_.sketches().size());
    std::memcpy(sketches_.data(), trace_.sketches().data(), trace_.sketches().size_bytes());
    replica_.sum_to(sketches_, writer_);
  }
  if (!trace_.options().hidden || place_.t != 0) return;
  if (!place_.last_stage) {
    replica_.send(trace_.words(), writer_);
    return;
  }
  const auto stream_bytes =
      static_cast<std::size_t>(trace_.rows() * config_.hidden) * size_of(storage_of(plan_.dtype));
  words_.resize(static_cast<std::size_t>(config_.layers + 1) * stream_bytes);
  std::size_t received = 0;
  for (int stage = 0; stage + 1 < plan_.pipeline; ++stage) {
    const auto layers = plan_.stage_layers[static_cast<std::size_t>(stage)];
    const auto bytes = static_cast<std::size_t>(layers + (stage == 0 ? 1 : 0)) * stream_bytes;
    replica_.receive({words_.data() + received, bytes}, stage * plan_.tensor_parallel);
    received += bytes;
  }
  std::copy(trace_.words().begin(), trace_.words().end(),
            words_.begin() + static_cast<std::ptrdiff_t>(received));
}

void PassTraces::append(std::size_t i, RowTraces& rows) const {
  const auto count = static_cast<std::size_t>(trace_.rows());
  for (std::size_t at = i; at < sums_.size(); at += count) rows.sums.push_back(sums_[at]);
  for (std::size_t at = i * kSketches; at < sketches_.size(); at += count * kSketches)
    for (std::size_t k = 0; k < kSketches; ++k)
      rows.sketches.push_back(std::bit_cast<double>(sketches_[at + k]));
  const std::size_t row_bytes = static_cast<std::size_t>(config_.hidden) * size_of(storage_of(plan_.dtype));
  for (std::size_t at = i * row_bytes; at < words_.size(); at += count * row_bytes)
    rows.words.insert(rows.words.end(), words_.begin() + static_cast<std::ptrdiff_t>(at),
                      words_.begin() + static_cast<std::ptrdiff_t>(at + row_bytes));
}

void PassTraces::finish(RowTraces& rows, record::PromptRecord& record) const {
  const std::size_t count = record.rows.size();
  if (trace_.options().checksums) {
    record::Checksums& checksums = record.checksums;
    checksums.layers = config_.layers;
    checksums.rows = static_cast<std::int64_t>(count);
    checksums.operations = traced_operations(config_, plan_);
    const auto points = static_cast<std::size_t>(record::point_count(config_.layers));
    checksums.sums.resize(points * count);
    for (std::size_t row = 0; row < count; ++row)
      for (std::size_t point = 0; point < points; ++point)
        checksums.sums[point * count + row] = rows.sums[row * points + point];
  }
  if (trace_.options().sketches) {
    record::Sketches& sketches = record.sketches;
    sketches.layers = config_.layers;
    sketches.shards = plan_.shards;
    sketches.rows = static_cast<std::int64_t>(count);
    sketches.operations = traced_operations(config_, plan_);
    const auto places = static_cast<std::size_t>(record::point_count(config_.layers) * plan_.shards);
    sketches.values.resize(places * count * kSketches);
    for (std::size_t row = 0; row < count; ++row)
      for (std::size_t place = 0; place < places; ++place)
        std::copy_n(rows.sketches.begin() + static_cast<std::ptrdiff_t>((row * places + place) * kSketches),
                    kSketches,
                    sketches.values.begin() + static_cast<std::ptrdiff_t>((place * count + row) * kSketches));
  }
  if (trace_.options().hidden) {
    record::Hidden& hidden = record.hidden;
    hidden.streams = config_.layers + 1;
    hidden.width = config_.hidden;
    hidden.dtype = storage_of(plan_.dtype);
    hidden.words.resize(rows.words.size());
    const std::size_t row_bytes = static_cast<std::size_t>(hidden.width) * size_of(hidden.dtype);
    const auto* from = rows.words.data();
    for (std::size_t row = 0; row < count; ++row)
      for (std::size_t stream = 0; stream < static_cast<std::size_t>(hidden.streams);
           ++stream, from += row_bytes)
        std::copy_n(from, row_bytes, hidden.words.data() + (stream * count + row) * row_bytes);
  }
  rows = {};
}

}  // namespace shardrift
