#include "model/trace.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "common/not_finite.hpp"
#include "common/sketch.hpp"

namespace shardrift {

using record::Operation;

namespace {

double number_at(const std::byte* word, DType dtype) {
  const auto read = [&]<typename T>(T value) {
    std::memcpy(&value, word, sizeof value);
    return value;
  };
  switch (storage_of(dtype)) {
    case DType::float64:
      return read(double{});
    case DType::float16:
      return float_from_float16(read(std::uint16_t{}));
    case DType::bfloat16:
      return float_from_bfloat16(read(std::uint16_t{}));
    default:
      return read(float{});
  }
}

}  // namespace

bool layer_has(const ModelConfig& config, const record::Point& point) {
  if (!in_layer(point.operation)) return true;
  const LayerSpec& layer = config.specs[static_cast<std::size_t>(point.layer)];
  switch (point.operation) {
    case Operation::query_key_norm:
      return layer.query_key_norm != QueryKeyNorm::none;
    case Operation::attention_norm:
      return layer[Block::attention].norm_before;
    case Operation::mlp_norm:
      return layer[Block::mlp].norm_before;
    case Operation::router:
      return layer.experts.count > 0;
    default:
      return true;
  }
}

std::vector<Operation> traced_operations(const ModelConfig& config, const Plan& plan) {
  std::vector<Operation> operations;
  for (int i = 0; i < record::kOperations; ++i) {
    const Operation operation = record::operation_at(i);
    if (record::per_shard(operation) && plan.row_linear == RowLinear::gather && plan.shards > 1) continue;
    bool any = false;
    for (std::int64_t layer = 0; layer < config.layers; ++layer)
      any = any || layer_has(config, {operation, layer});
    if (!any) continue;
    operations.push_back(operation);
  }
  return operations;
}

Trace::Trace(const ModelConfig& config, const Plan& plan, const Place& place, Backend& backend,
             const TraceOptions& options, std::int64_t rows)
    : config_(config),
      plan_(plan),
      backend_(backend),
      options_(options),
      first_of_group_(place.t == 0),
      streams_{place.first_stage ? 0 : place.layers.begin + 1, place.layers.end + 1},
      columns_(config, plan, place) {
  if (options.checksums)
    device_sums_ = Buffer(
        backend, static_cast<std::size_t>(record::point_count(config.layers) * rows) * sizeof(std::uint64_t));
}

void Trace::begin(std::span<const std::int32_t> rows) {
  traced_.assign(rows.begin(), rows.end());
  narrowed_ = -1;
  windows_.clear();
  for (std::int64_t i = 0; i < this->rows(); ++i) {
    const std::int64_t row = traced_[static_cast<std::size_t>(i)];
    if (windows_.empty() || windows_.back().from + windows_.back().count != row)
      windows_.push_back({row, i, 0});
    ++windows_.back().count;
  }
  words_.clear();
  if (options_.sketches)
    sketches_.assign(static_cast<std::size_t>(record::point_count(config_.layers) * plan_.shards *
                                              this->rows() * kSketches),
                     0);
  if (!options_.checksums) return;
  sums_.assign(static_cast<std::size_t>(record::point_count(config_.layers) * this->rows()), 0);
  backend_.upload(device_sums_.data(), sums_.data(), sums_.size() * sizeof(std::uint64_t));
}

void Trace::narrow(std::int64_t done, std::int64_t count) {
  narrowed_ = done;
  windows_ = {{0, done, count}};
}

void Trace::end() {
  if (options_.checksums)
    backend_.download(sums_.data(), device_sums_.data(), sums_.size() * sizeof(std::uint64_t));
}

Matrix Trace::Window::of(const Matrix& m) const {
  const auto offset = static_cast<std::size_t>(from * m.cols) * size_of(m.dtype);
  return {static_cast<std::byte*>(m.data) + offset, count, m.cols, m.dtype};
}

// Columns of m that are columns index, index + 1, … of the unsharded tensor.
void Trace::add(const record::Point& point, std::int64_t shard, const Matrix& m, Range columns,
                std::int64_t index) {
  if (columns.empty()) return;
  if (options_.sketches)
    for (const Window& window : windows_) {
      targets_of_window_.resize(static_cast<std::size_t>(window.count));
      std::iota(targets_of_window_.begin(), targets_of_window_.end(), static_cast<std::int32_t>(window.to));
      sketch(point, shard, window.of(m), columns, index, targets_of_window_);
    }
  if (!options_.checksums) return;
  auto* sums = device_sums_.as<std::uint64_t>() + record::index_of(point, config_.layers) * rows();
  for (const Window& window : windows_) backend_.checksum(window.of(m), columns, index, sums + window.to);
}

// targets: of m's rows the traced rows that they are, or a negative number.
void Trace::sketch(const record::Point& point, std::int64_t shard, const Matrix& m, Range columns,
                   std::int64_t index, std::span<const std::int32_t> targets) {
  std::vector<std::byte> words(m.bytes());
  backend_.download(words.data(), m.data, words.size());
  const std::size_t size = size_of(m.dtype);
  const std::int64_t first = (record::index_of(point, config_.layers) * plan_.shards + shard) * rows();
  for (std::int64_t row = 0; row < m.rows; ++row) {
    const std::int64_t target = targets[static_cast<std::size_t>(row)];
    if (target < 0) continue;
    add_to_sketch(words.data() + static_cast<std::size_t>(row * m.cols + columns.begin) * size,
                  columns.size(), m.dtype, index, sketches_.data() + (first + target) * kSketches);
  }
}

void Trace::observe(const record::Point& point, std::size_t s, const Matrix& m) {
  if (options_.not_finite) look(point, m);
  if (point.operation == Operation::embedding) keep_stream(0, m);
  if (point.operation == Operation::mlp_residual) keep_stream(point.layer + 1, m);
  const bool whole = whole_everywhere(point.operation);
  if (whole && !first_of_group_) return;
  for (const auto& piece : columns_.of(point.operation, s, m.cols))
    if (piece.first_holder) add(point, whole ? 0 : columns_.shard(s), m, piece.columns, piece.index);
}

void Trace::observe_expert(const record::Point& point, std::size_t s, std::int64_t expert, const Matrix& m,
                           std::span<const std::int32_t> rows) {
  if (options_.not_finite) look(point, m, rows);
  if ((!options_.checksums && !options_.sketches) || m.rows == 0) return;
  std::vector<std::int32_t> targets;
  for (const std::int32_t row : rows) {
    const auto found = std::lower_bound(traced_.begin(), traced_.end(), row);
    const bool traced = found != traced_.end() && *found == row;
    targets.push_back(traced ? static_cast<std::int32_t>(found - traced_.begin()) : -1);
  }
  const std::int64_t all = config_.specs[static_cast<std::size_t>(point.layer)].experts.intermediate;
  const Range columns = plan_.expert_parallel
                            ? Range{0, all}
                            : deal_columns(all, plan_.shards, static_cast<int>(columns_.shard(s)));
  // Of each expert the model has as many columns: gates, then ups, or activations.
  const std::int64_t parts = m.cols / columns.size();
  const auto each_part = [&](const auto& work) {
    for (std::int64_t part = 0; part < parts; ++part)
      work(Range{part * columns.size(), (part + 1) * columns.size()},
           (expert * parts + part) * all + columns.begin);
  };
  if (options_.sketches)
    each_part([&](Range of_part, std::int64_t index) {
      sketch(point, columns_.shard(s), m, of_part, index, targets);
    });
  if (!options_.checksums) return;
  if (targets.size() > targets_fit_) {
    targets_ = Buffer(backend_, targets.size() * sizeof(std::int32_t));
    targets_fit_ = targets.size();
  }
  backend_.upload(targets_.data(), targets.data(), targets.size() * sizeof(std::int32_t));
  auto* sums = device_sums_.as<std::uint64_t>() + record::index_of(point, config_.layers) * this->rows();
  each_part([&](Range of_part, std::int64_t index) {
    backend_.checksum(m, of_part, index, sums, targets_.as<std::int32_t>());
  });
}

void Trace::look(const record::Point& point, const Matrix& m, std::span<const std::int32_t> rows) {
  if (not_finite_ || m.bytes() == 0) return;
  std::vector<std::byte> words(m.bytes());
  backend_.download(words.data(), m.data, words.size());
  const std::size_t row_bytes = words.size() / static_cast<std::size_t>(m.rows);
  for (std::int64_t i = 0; i < m.rows; ++i) {
    const std::int64_t row = !rows.empty()   ? rows[static_cast<std::size_t>(i)]
                             : narrowed_ < 0 ? i
                                             : traced_[static_cast<std::size_t>(narrowed_ + i)];
    if (!looked_at_.contains(row)) continue;
    const auto words_of_row = std::span(words).subspan(static_cast<std::size_t>(i) * row_bytes, row_bytes);
    const auto at = first_not_finite(words_of_row, m.dtype);
    if (at < 0) continue;
    const auto* word = words_of_row.data() + static_cast<std::size_t>(at) * size_of(m.dtype);
    not_finite_ = {point, row, number_at(word, m.dtype)};
    return;
  }
}

// The residual stream after the embedding (0) or after layer stream - 1.
void Trace::keep_stream(std::int64_t stream, const Matrix& residual) {
  if (!options_.hidden || !first_of_group_ || !streams_.contains(stream)) return;
  for (const Window& window : windows_) {
    const Matrix rows = window.of(residual);
    const std::size_t before = words_.size();
    words_.resize(before + rows.bytes());
    backend_.download(words_.data() + before, rows.data, rows.bytes());
  }
}

}  // namespace shardrift
