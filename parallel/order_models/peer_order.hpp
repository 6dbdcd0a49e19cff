// In which order our own all-reduces add (parallel/transport/peer_transport.hpp): no model of a library, but
// what they are written to do, on CPUs and GPUs alike; a probe holds them to it before a run's first prompt.
//
//   one-shot   every rank reads the messages of all N ranks and adds 0, 1, … N-1
//   two-shot   part r of the message is added by rank r: r, r+1, … N-1, 0, … r-1; the sums are gathered as
//   bytes
//
// Both add in float32 (float64 messages in float64) and round once, to the message's dtype.
#pragma once
#include <cstdint>

#include "common/dtype.hpp"
#include "parallel/reduction/collective.hpp"
#include "parallel/reduction/order_map.hpp"
#include "parallel/reduction/reduction.hpp"

namespace shardrift {

struct MessagePart {  // elements [begin, end)
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end - begin; }
  bool operator==(const MessagePart&) const = default;
};

// What rank `rank` adds in a two-shot: the message is cut into units of 16 bytes, of which the last may be
// short; the units are dealt to the ranks in order, contiguous, and the first (units mod N) ranks get one
// more. A rank's part is empty where there are fewer units than ranks.
MessagePart two_shot_part(std::int64_t count, DType dtype, int ranks, int rank);

// Throws failure for Collective::library or a count below 1, usage_error for ranks outside 2 to 64.
OrderMap peer_map(Collective collective, std::int64_t count, DType dtype, int ranks);

// Where they round, as a fold says it: float32 sums of 16-bit messages; else rounding at every add is the
// same.
Accumulator peer_accumulator(DType dtype);

}  // namespace shardrift
