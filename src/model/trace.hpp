// What a pass computed on the way to its logits, of the rows whose logits are asked for: a checksum of every
// operation's output, and the residual stream after the embedding and after each layer. Reads buffers between
// operations and changes none, so a traced pass has the bits of an untraced one.
//
// Checksums are sums over elements by their index in the unsharded tensor, so what the ranks of a replica
// trace adds up: shards sum their own elements; a tensor that every rank of a tensor-parallel group has is
// summed by its first one (t = 0); stages have the layers they host. Sketches (common/sketch.hpp) are kept
// shard by shard.
#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "model/backend.hpp"
#include "model/unsharded_columns.hpp"
#include "record/operations.hpp"
#include "weights/model_config.hpp"

namespace shardrift {

struct TraceOptions {
  bool hidden = false;
  bool checksums = false;
  bool sketches = false;
  bool not_finite = false;  // looks for the first output that holds an infinity or a NaN
  bool any() const { return hidden || checksums || sketches; }
};

// Where an output was first seen not to be finite.
struct NotFinite {
  record::Point point;
  std::int64_t row = 0;  // of the pass
  double value = 0;
};

// The operations that a pass of this model and plan has, in running order.
std::vector<record::Operation> traced_operations(const ModelConfig& config, const Plan& plan);

// Whether the layer at hand has it: models may differ from layer to layer.
bool layer_has(const ModelConfig& config, const record::Point& point);

class Trace {
 public:
  // rows: the most that one pass is asked for.
  Trace(const ModelConfig& config, const Plan& plan, const Place& place, Backend& backend,
        const TraceOptions& options, std::int64_t rows);

  // A pass of which these rows, ascending, are traced; observed matrices have all its rows.
  void begin(std::span<const std::int32_t> rows);
  // From here on matrices have the traced rows [done, done + count) alone: the head works in blocks.
  void narrow(std::int64_t done, std::int64_t count);
  void end();  // waits for the device; then sums() and streams() are the pass's

  // The output of an operation. point.layer: of the model; s: which of this rank's shards, where each has its
  // own.
  void observe(const record::Point& point, std::size_t s, const Matrix& m);

  // The same of one expert's matrix of a shard, whose rows are these rows of the pass, ascending.
  void observe_expert(const record::Point& point, std::size_t s, std::int64_t expert, const Matrix& m,
                      std::span<const std::int32_t> rows);

  // Of the passes to come: looks at these of their rows alone.
  void look_at(Range rows) { looked_at_ = rows; }
  const std::optional<NotFinite>& not_finite() const { return not_finite_; }

  const TraceOptions& options() const { return options_; }
  std::int64_t rows() const { return static_cast<std::int64_t>(traced_.size()); }  // of the pass
  // [point_count(layers), rows()]; what this rank knows, 0 elsewhere. Empty where not asked for.
  std::span<const std::uint64_t> sums() const { return sums_; }
  // [point_count(layers), shards of the plan, rows(), kSketches], of the hosted shards, of what lies on no
  // shard in shard 0's place on the group's first rank, 0 elsewhere: a number is one rank's alone. Empty
  // where not asked for.
  std::span<const double> sketches() const { return sketches_; }
  // Words of the streams this rank's stage has, [streams, rows(), hidden]. Empty on ranks with t > 0.
  std::span<const std::byte> words() const { return words_; }
  Range streams() const { return streams_; }  // which of the model's layers + 1

 private:
  // shard: whose columns these are; 0 of what lies on no shard.
  void add(const record::Point& point, std::int64_t shard, const Matrix& m, Range columns,
           std::int64_t index);
  void sketch(const record::Point& point, std::int64_t shard, const Matrix& m, Range columns,
              std::int64_t index, std::span<const std::int32_t> targets);
  // rows: of the pass, that m has; none: it has all, or those narrowed to.
  void look(const record::Point& point, const Matrix& m, std::span<const std::int32_t> rows = {});
  void keep_stream(std::int64_t stream, const Matrix& residual);

  // Traced rows that lie together in a matrix: its rows [from, from + count) are [to, to + count) traced.
  struct Window {
    std::int64_t from = 0, to = 0, count = 0;
    Matrix of(const Matrix& m) const;
  };

  const ModelConfig& config_;
  const Plan& plan_;
  Backend& backend_;
  TraceOptions options_;
  bool first_of_group_;
  Range streams_;
  UnshardedColumns columns_;
  std::vector<std::int32_t> traced_;  // rows of the pass
  std::vector<Window> windows_;       // of the matrices to come
  std::int64_t narrowed_ = -1;  // first traced row that they have, where they have no other rows; else -1
  Buffer device_sums_;
  Buffer targets_;  // int32: of an expert's rows, as many as fit
  std::size_t targets_fit_ = 0;
  std::vector<std::uint64_t> sums_;
  std::vector<double> sketches_;
  std::vector<std::int32_t> targets_of_window_;
  std::vector<std::byte> words_;
  Range looked_at_{0, std::numeric_limits<std::int64_t>::max()};
  std::optional<NotFinite> not_finite_;
};

}  // namespace shardrift
