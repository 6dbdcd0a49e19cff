// Where NCCL changes its protocol along the size of a message, found by asking: it says what it took for
// every call, so a few calls bracket each change to one element.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "parallel/order_models/nccl_order.hpp"

namespace shardrift {

// Makes one collective of `count` elements and says what protocol it took; nullopt: not told.
using AskProtocol = std::function<std::optional<NcclProtocol>(std::int64_t count)>;

// Spans of one protocol each that cover messages of `first` to `last` elements of `element_bytes`, ascending.
// Believes that between two sizes of one protocol there is no other (NCCL's choice grows with size). Empty
// where an answer is missing.
std::vector<NcclProtocolSpan> find_protocol_spans(const AskProtocol& ask, std::int64_t first,
                                                  std::int64_t last, std::int64_t element_bytes);

}  // namespace shardrift
