// Slices of weights on their way from a checkpoint to a device, in pieces of some rows: each is read, decoded
// or quantized where that is asked for, cut, converted and checked by one of several threads, and none is
// ever whole in the host's memory. A piece's bytes do not depend on the thread, nor on its neighbours.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "model/backend.hpp"
#include "model/cpu/threads.hpp"
#include "weights/weight_source.hpp"

namespace shardrift {

class WeightPieces {
 public:
  // All must outlive it. Throws usage_error where the checkpoint is quantized already.
  WeightPieces(const Checkpoint& checkpoint, const ModelConfig& config, const Plan& plan, Backend& backend,
               int threads);

  // A slice: these columns of the rows, one row after the other, from `data` of the device on. Of quantized
  // rows also their scales for those columns (scales_of_row), unless null: groups are then not cut.
  struct Slice {
    Range cols;
    void* data = nullptr;
    float* scales = nullptr;
  };
  // Rows of a part, to be read once for all slices. Rows and columns may be none.
  void add(Part part, std::int64_t layer, Range rows, std::vector<Slice> slices, std::int64_t expert = 0);
  // All that were added since. Throws what the first piece that cannot be loaded throws, in the order in
  // which they were added: what WeightSource does, and bad_data naming tensor and place of a weight that is
  // not finite, or not in the run's dtype.
  void run();

 private:
  struct Piece {
    Part part;
    std::int64_t layer;
    std::int64_t expert;
    Range rows;
    Range all_rows;      // that the slices have
    std::size_t slices;  // which of slices_
  };
  void load(const Piece& piece, WeightSource& source);
  void fill(const TensorView& tensor, Range cols, std::byte* out) const;
  void write_scales(const Piece& piece, const Slice& slice, const WeightSource& source);
  void require_finite(const TensorView& tensor, std::int64_t row, Range cols, std::int64_t rows,
                      const std::byte* words) const;

  const ModelConfig& config_;
  const Plan& plan_;
  Backend& backend_;
  Threads threads_;
  std::vector<std::unique_ptr<WeightSource>> sources_;  // one a thread
  std::vector<std::vector<Slice>> slices_;
  std::vector<Piece> pieces_;
};

}  // namespace shardrift
