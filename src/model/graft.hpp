// Grafting: an operation's outputs are kept from the passes of one run and put, pass by pass, in the place of
// the same operation's outputs in another run of the same tokens under another plan. What then still differs
// was made by other operations.
//
// Kept are the tensors of the unsharded model (unsharded_columns.hpp), all rows of every pass, in the host's
// memory. The two runs must have the same passes: the first of the one is put into the first of the other.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "model/backend.hpp"
#include "model/unsharded_columns.hpp"
#include "record/operations.hpp"
#include "weights/model_config.hpp"

namespace shardrift {

// Why this model's outputs of that operation cannot be kept and put; empty: they can.
std::string_view why_not_grafted(record::Operation operation, const ModelConfig& config);

// For a Forward that hosts all of a plan's shards and layers.
class Graft {
 public:
  Graft(const ModelConfig& config, const Plan& plan, const Place& place, Backend& backend);

  // From the next pass, which is the first: keeps the operation's outputs in every layer; forgets what it
  // kept.
  void keep(record::Operation operation);
  // From the next pass, which is the first: puts what `from` kept of this point in its place. `from` must
  // outlive the passes.
  void put(const Graft& from, const record::Point& point);
  // From the next pass on: neither.
  void rest();

  std::size_t kept_bytes() const { return kept_bytes_; }

  // What Forward tells: a pass begins; from here on matrices have the logit rows from `done` on alone.
  void begin();
  void narrow(std::int64_t done) { done_ = done; }
  // An operation's output; true where it was replaced. Waits for the device.
  bool output(const record::Point& point, std::size_t s, const Matrix& m);

 private:
  struct Tensor {
    std::int64_t width = 0;  // columns
    DType dtype = DType::float32;
    std::vector<std::byte> words;  // [rows, width]
  };
  using Tensors = std::map<std::int64_t, Tensor>;  // by layer
  void take(Tensor& tensor, const record::Point& point, std::size_t s, const Matrix& m);
  void give(const Tensor& tensor, const record::Point& point, std::size_t s, const Matrix& m);

  enum class Work { none, keeping, putting };
  Backend& backend_;
  UnshardedColumns columns_;
  Work work_ = Work::none;
  record::Point point_;          // of keeping: its operation alone
  const Graft* from_ = nullptr;  // of putting
  std::size_t passes_ = 0;       // begun since keep() or put()
  std::int64_t done_ = 0;
  std::vector<Tensors> kept_;  // [passes]
  std::size_t kept_bytes_ = 0;
  std::vector<std::byte> words_;  // of one matrix
};

}  // namespace shardrift
