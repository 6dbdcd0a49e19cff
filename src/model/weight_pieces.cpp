#include "model/weight_pieces.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <mutex>

#include "common/error.hpp"
#include "common/not_finite.hpp"
#include "common/progress.hpp"
#include "weights/convert.hpp"
#include "weights/quantize.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;  // of stored or decoded rows, about
// Codings have tiles and quantizations blocks of several rows: no piece begins inside one.
constexpr std::int64_t kRowsTogether = 128;
constexpr std::size_t kCachedBytes = std::size_t{1} << 17;  // copied, and then checked while it is in a cache

}  // namespace

WeightPieces::WeightPieces(const Checkpoint& checkpoint, const ModelConfig& config, const Plan& plan,
                           Backend& backend, int threads)
    : config_(config), plan_(plan), backend_(backend), threads_(threads) {
  for (int thread = 0; thread < threads; ++thread) {
    sources_.push_back(std::make_unique<WeightSource>(checkpoint, config));
    sources_.back()->quantize(plan.quantize);
  }
}

void WeightPieces::add(Part part, std::int64_t layer, Range rows, std::vector<Slice> slices,
                       std::int64_t expert) {
  const auto row_bytes =
      static_cast<std::size_t>(shape_of(config_, part, layer).cols) * size_of(config_.dtype);
  const std::int64_t step =
      std::max<std::int64_t>(static_cast<std::int64_t>(kPieceBytes / row_bytes) / kRowsTogether, 1) *
      kRowsTogether;
  for (std::int64_t begin = rows.begin; begin < rows.end;) {
    const std::int64_t end = std::min((begin / step + 1) * step, rows.end);
    pieces_.push_back({part, layer, expert, {begin, end}, rows, slices_.size()});
    begin = end;
  }
  slices_.push_back(std::move(slices));
}

void WeightPieces::run() {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::size_t failed = pieces_.size();
  std::exception_ptr error;
  // Pieces are begun in order, so that all before one that fails have been begun, and end: the first of those
  // that fail is the same every time.
  const auto work = [&](std::int64_t begin, std::int64_t end) {
    for (auto thread = begin; thread < end; ++thread)
      for (std::size_t i = next++; i < pieces_.size(); i = next++) {
        try {
          load(pieces_[i], *sources_[static_cast<std::size_t>(thread)]);
        } catch (...) {
          next = pieces_.size();
          const std::lock_guard lock(mutex);
          if (i < failed) {
            failed = i;
            error = std::current_exception();
          }
        }
      }
  };
  threads_.for_range(static_cast<std::int64_t>(sources_.size()), 1, work);
  pieces_.clear();
  slices_.clear();
  if (error) std::rethrow_exception(error);
}

void WeightPieces::load(const Piece& piece, WeightSource& source) {
  const TensorView tensor = source.rows(piece.part, piece.layer, piece.rows, piece.expert);
  for (const Slice& slice : slices_[piece.slices]) {
    const auto row_bytes = static_cast<std::size_t>(slice.cols.size()) * size_of(plan_.dtype);
    if (row_bytes == 0) continue;
    const auto at = static_cast<std::size_t>(piece.rows.begin - piece.all_rows.begin) * row_bytes;
    backend_.write(static_cast<std::byte*>(slice.data) + at,
                   static_cast<std::size_t>(piece.rows.size()) * row_bytes,
                   [&](std::byte* out) { fill(tensor, slice.cols, out); });
    if (slice.scales != nullptr) write_scales(piece, slice, source);
  }
  progress::done(tensor.bytes);
}

void WeightPieces::write_scales(const Piece& piece, const Slice& slice, const WeightSource& source) {
  const std::int64_t all = scales_of_row(plan_.quantize, shape_of(config_, piece.part, piece.layer).cols);
  const std::int64_t count = scales_of_row(plan_.quantize, slice.cols.size());
  const std::int64_t first = has_row_scales(plan_.quantize) ? 0 : slice.cols.begin / kScaleColumns;
  const auto row_bytes = static_cast<std::size_t>(count) * sizeof(float);
  backend_.write(slice.scales + (piece.rows.begin - piece.all_rows.begin) * count,
                 static_cast<std::size_t>(piece.rows.size()) * row_bytes, [&](std::byte* out) {
                   for (std::int64_t row = 0; row < piece.rows.size(); ++row)
                     std::memcpy(out + static_cast<std::size_t>(row) * row_bytes,
                                 source.scales() + row * all + first, row_bytes);
                 });
}

// Columns `cols` of all of a tensor's rows, in the run's dtype.
void WeightPieces::fill(const TensorView& tensor, Range cols, std::byte* out) const {
  const std::int64_t rows = tensor.shape.front();
  const std::int64_t width = tensor.shape.back();
  const auto element = size_of(tensor.dtype);
  const auto count = static_cast<std::size_t>(cols.size());
  const auto row_bytes = count * size_of(plan_.dtype);
  const auto some = std::max<std::int64_t>(static_cast<std::int64_t>(kCachedBytes / row_bytes), 1);
  for (std::int64_t begin = 0; begin < rows; begin += some) {
    const std::int64_t end = std::min(begin + some, rows);
    const auto source = [&](std::int64_t row) {
      return tensor.data + static_cast<std::size_t>(row * width + cols.begin) * element;
    };
    const auto target = [&](std::int64_t row) { return out + static_cast<std::size_t>(row) * row_bytes; };
    if (storage_of(tensor.dtype) == storage_of(plan_.dtype)) {
      copy_block(tensor, begin, end - begin, cols.begin, cols.size(), target(begin));
    } else if (cols.size() == width) {
      convert(source(begin), tensor.dtype, target(begin), plan_.dtype,
              static_cast<std::size_t>(end - begin) * count);
    } else {
      for (auto row = begin; row < end; ++row)
        convert(source(row), tensor.dtype, target(row), plan_.dtype, count);
    }
    require_finite(tensor, begin, cols, end - begin, target(begin));
  }
}

// Of what is computed with, rows from `row` on: a finite weight may overflow in the run's dtype.
void WeightPieces::require_finite(const TensorView& tensor, std::int64_t row, Range cols, std::int64_t rows,
                                  const std::byte* words) const {
  const auto count = static_cast<std::size_t>(rows * cols.size());
  const auto at =
      static_cast<std::int64_t>(first_not_finite({words, count * size_of(plan_.dtype)}, plan_.dtype));
  if (at < 0) return;
  row += at / cols.size();
  const std::int64_t col = cols.begin + at % cols.size();
  const std::byte* const stored =
      tensor.data + static_cast<std::size_t>(row * tensor.shape.back() + col) * size_of(tensor.dtype);
  const auto where = tensor.stored_at(row, col);
  if (first_not_finite({stored, size_of(tensor.dtype)}, tensor.dtype) == 0)
    throw bad_data("tensor {}: the weight at {} is infinite or NaN: the checkpoint is damaged", tensor.name,
                   where);
  throw bad_data("tensor {}: the weight at {} overflows in {}: use --dtype {}", tensor.name, where,
                 name_of(plan_.dtype),
                 plan_.dtype == DType::float16    ? "bfloat16 or float32"
                 : plan_.dtype == DType::bfloat16 ? "float32 or float64"
                                                  : "float64");
}

}  // namespace shardrift
