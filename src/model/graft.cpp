#include "model/graft.hpp"

#include <algorithm>
#include <cstring>

#include "common/error.hpp"

namespace shardrift {
using record::Operation;

std::string_view why_not_grafted(Operation operation, const ModelConfig& config) {
  switch (operation) {
    case Operation::attention_partials:
    case Operation::mlp_partials:
      return "one device has no partials of shards: graft their sum";
    case Operation::rope:
      return "rotated keys are in the cache before they can be replaced: graft qkv, or query_key_norm";
    case Operation::gate_up:
    case Operation::activation:
      return has_experts(config)
                 ? "a mixture's rows stand by expert, in another order in each run: graft mlp_sum"
                 : "";
    default:
      return "";
  }
}

Graft::Graft(const ModelConfig& config, const Plan& plan, const Place& place, Backend& backend)
    : backend_(backend), columns_(config, plan, place) {}

void Graft::keep(Operation operation) {
  work_ = Work::keeping;
  point_ = {operation, 0};
  passes_ = 0;
  kept_.clear();
  kept_bytes_ = 0;
}

void Graft::put(const Graft& from, const record::Point& point) {
  work_ = Work::putting;
  from_ = &from;
  point_ = point;
  passes_ = 0;
}

void Graft::rest() {
  work_ = Work::none;
}

void Graft::begin() {
  ++passes_;
  done_ = 0;
  if (work_ == Work::keeping) kept_.emplace_back();
}

bool Graft::output(const record::Point& point, std::size_t s, const Matrix& m) {
  if (work_ == Work::none || point.operation != point_.operation) return false;
  if (work_ == Work::keeping) {
    take(kept_.back()[point.layer], point, s, m);
    return false;
  }
  if (point.layer != point_.layer) return false;
  if (passes_ > from_->kept_.size())
    throw failure("a graft of {} passes into a run of more: this is a bug", from_->kept_.size());
  const Tensors& tensors = from_->kept_[passes_ - 1];
  const auto found = tensors.find(point.layer);
  if (found == tensors.end())
    throw failure("{} of layer {} was not kept: this is a bug", name_of(point.operation), point.layer);
  give(found->second, point, s, m);
  return true;
}

void Graft::take(Tensor& tensor, const record::Point& point, std::size_t s, const Matrix& m) {
  const auto word = size_of(m.dtype);
  tensor.width = columns_.width(point.operation, m.cols);
  tensor.dtype = m.dtype;
  const auto row_bytes = static_cast<std::size_t>(tensor.width) * word;
  const auto needed = static_cast<std::size_t>(done_ + m.rows) * row_bytes;
  if (tensor.words.size() < needed) {
    kept_bytes_ += needed - tensor.words.size();
    tensor.words.resize(needed);
  }
  words_.resize(m.bytes());
  backend_.download(words_.data(), m.data, words_.size());
  for (const auto& piece : columns_.of(point.operation, s, m.cols))
    for (std::int64_t row = 0; row < m.rows; ++row)
      std::memcpy(tensor.words.data() + static_cast<std::size_t>(done_ + row) * row_bytes +
                      static_cast<std::size_t>(piece.index) * word,
                  words_.data() + static_cast<std::size_t>(row * m.cols + piece.columns.begin) * word,
                  static_cast<std::size_t>(piece.columns.size()) * word);
}

void Graft::give(const Tensor& tensor, const record::Point& point, std::size_t s, const Matrix& m) {
  const auto word = size_of(m.dtype);
  const auto row_bytes = static_cast<std::size_t>(tensor.width) * word;
  if (tensor.dtype != m.dtype || tensor.width != columns_.width(point.operation, m.cols) ||
      tensor.words.size() < static_cast<std::size_t>(done_ + m.rows) * row_bytes)
    throw failure("{} of layer {}: what was kept has another shape: this is a bug", name_of(point.operation),
                  point.layer);
  const auto pieces = columns_.of(point.operation, s, m.cols);
  words_.resize(m.bytes());
  // What the tensor has no columns for (values beside normed keys, pads) stays.
  std::int64_t covered = 0;
  for (const auto& piece : pieces) covered += piece.columns.size();
  if (covered < m.cols) backend_.download(words_.data(), m.data, words_.size());
  for (const auto& piece : pieces)
    for (std::int64_t row = 0; row < m.rows; ++row)
      std::memcpy(words_.data() + static_cast<std::size_t>(row * m.cols + piece.columns.begin) * word,
                  tensor.words.data() + static_cast<std::size_t>(done_ + row) * row_bytes +
                      static_cast<std::size_t>(piece.index) * word,
                  static_cast<std::size_t>(piece.columns.size()) * word);
  backend_.upload(m.data, words_.data(), words_.size());
}

}  // namespace shardrift
