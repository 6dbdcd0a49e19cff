// What a pass computed on the way to its logits, of the rows whose logits are asked for: a checksum of every
// operation's output, and the residual stream after the embedding and after each layer. Reads buffers between
// operations and changes none, so a traced pass has the bits of an untraced one.
//
// Checksums are sums over elements by their index in the unsharded tensor, so what the ranks of a replica
// trace adds up: shards sum their own elements; a tensor that every rank of a tensor-parallel group has is
// summed by its first one (t = 0); stages have the layers they host.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "model/backend.hpp"
#include "record/operations.hpp"
#include "weights/model_config.hpp"

namespace shardrift {

struct TraceOptions {
  bool hidden = false;
  bool checksums = false;
  bool not_finite = false;  // looks for the first output that holds an infinity or a NaN
  bool any() const { return hidden || checksums; }
};

// Where an output was first seen not to be finite.
struct NotFinite {
  record::Point point;
  std::int64_t row = 0;  // of the pass
  double value = 0;
};

class Trace {
 public:
  // rows: the most that one pass is asked for.
  Trace(const ModelConfig& config, const Plan& plan, const Place& place, Backend& backend,
        const TraceOptions& options, std::int64_t rows);

  // A pass of which rows [first, first + count) are traced; observed matrices have all its rows.
  void begin(std::int64_t first, std::int64_t count);
  // From here on matrices have the traced rows [done, done + count) alone: the head works in blocks.
  void narrow(std::int64_t done, std::int64_t count);
  void end();  // waits for the device; then sums() and streams() are the pass's

  // The output of an operation. point.layer: of the model; s: which of this rank's shards, where each has its
  // own.
  void observe(const record::Point& point, std::size_t s, const Matrix& m);

  // Of the passes to come: looks at this row of each matrix alone; -1: at all.
  void look_at(std::int64_t row) { looked_at_ = row; }
  const std::optional<NotFinite>& not_finite() const { return not_finite_; }

  const TraceOptions& options() const { return options_; }
  std::int64_t rows() const { return count_; }  // of the pass
  // [point_count(layers), rows()]; what this rank knows, 0 elsewhere. Empty where not asked for.
  std::span<const std::uint64_t> sums() const { return sums_; }
  // Words of the streams this rank's stage has, [streams, rows(), hidden]. Empty on ranks with t > 0.
  std::span<const std::byte> words() const { return words_; }
  Range streams() const { return streams_; }  // which of the model's layers + 1

 private:
  void add(const record::Point& point, const Matrix& m, Range columns, std::int64_t index);
  void add_heads(const record::Point& point, std::size_t s, const Matrix& m, bool values);
  void look(const record::Point& point, const Matrix& m);
  void keep_stream(std::int64_t stream, const Matrix& residual);
  Matrix traced(const Matrix& m) const;

  // The unsharded columns that a hosted shard's matrices hold.
  struct ShardColumns {
    HeadShare heads;
    Range counted_kv;  // of the model's KV heads: those that no earlier shard holds
    Range columns;     // of the MLP
    Range vocabulary;
    std::int64_t shard = 0;
  };

  const ModelConfig& config_;
  Backend& backend_;
  TraceOptions options_;
  bool first_of_group_;
  Range streams_;
  std::vector<ShardColumns> shards_;
  std::int64_t count_ = 0;
  std::int64_t from_ = 0, to_ = 0, window_ = 0;  // rows [from, from + window) of a matrix are [to, …) traced
  Buffer device_sums_;
  std::vector<std::uint64_t> sums_;
  std::vector<std::byte> words_;
  std::int64_t looked_at_ = -1;
  std::optional<NotFinite> not_finite_;
};

}  // namespace shardrift
