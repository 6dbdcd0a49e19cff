#include "parallel/profile/protocol_spans.hpp"

namespace shardrift {
namespace {

struct Answer {
  std::int64_t count;
  NcclProtocol protocol;
};

// Appends the last size of one protocol and the first of the next, for every change in (low, high].
bool bisect(const AskProtocol& ask, const Answer& low, const Answer& high, std::vector<Answer>& ends) {
  if (low.protocol == high.protocol) return true;
  if (high.count - low.count == 1) {
    ends.push_back(low);
    ends.push_back(high);
    return true;
  }
  const auto middle = low.count + (high.count - low.count) / 2;
  const auto protocol = ask(middle);
  if (!protocol) return false;
  const Answer answer{middle, *protocol};
  return bisect(ask, low, answer, ends) && bisect(ask, answer, high, ends);
}

}  // namespace

std::vector<NcclProtocolSpan> find_protocol_spans(const AskProtocol& ask, std::int64_t first,
                                                  std::int64_t last, std::int64_t element_bytes) {
  const auto lowest = ask(first);
  const auto highest = ask(last);
  if (!lowest || !highest) return {};
  std::vector<Answer> ends{{first, *lowest}};
  if (!bisect(ask, {first, *lowest}, {last, *highest}, ends)) return {};
  ends.push_back({last, *highest});
  std::vector<NcclProtocolSpan> spans;
  for (std::size_t i = 0; i + 1 < ends.size(); i += 2)
    spans.push_back({ends[i].count * element_bytes, ends[i + 1].count * element_bytes, ends[i].protocol,
                     ends[i + 1].protocol});
  return spans;
}

}  // namespace shardrift
