// What the ranks of a replica traced of a pass, brought together on the writing rank and kept row by row
// until the prompt is recorded.
#pragma once
#include <vector>

#include "model/trace.hpp"
#include "parallel/transport/mpi_world.hpp"
#include "record/record.hpp"

namespace shardrift {

// Of the rows of one prompt so far.
struct RowTraces {
  std::vector<std::uint64_t> sums;  // [rows, point_count(layers)]
  std::vector<double> sketches;     // [rows, points, shards, kSketches]
  std::vector<std::byte> words;     // [rows, streams, hidden]
};

class PassTraces {
 public:
  PassTraces(const Trace& trace, const ModelConfig& config, const Plan& plan, const Place& place,
             const Communicator& replica);
  // After every pass, by every rank of the replica: checksums are summed, sketches brought together, stages
  // send their streams.
  void collect();
  // On the writing rank: row i of the pass collected last is the prompt's next; and all rows into its record.
  void append(std::size_t i, RowTraces& rows) const;
  void finish(RowTraces& rows, record::PromptRecord& record) const;

 private:
  const Trace& trace_;
  const ModelConfig& config_;
  const Plan& plan_;
  const Place& place_;
  const Communicator& replica_;
  int writer_;                           // in the replica
  std::vector<std::uint64_t> sums_;      // [points, rows]
  std::vector<std::uint64_t> sketches_;  // bits of [points, shards, rows, kSketches]
  std::vector<std::byte> words_;         // [streams, rows, hidden]
};

}  // namespace shardrift
