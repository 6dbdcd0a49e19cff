#include "parallel/profile/profile_diff.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include "common/error.hpp"

namespace shardrift {
namespace {

std::string tree_text(const KnownOrder& order, std::int32_t tree) {
  return tree == kNotBinary ? "no binary tree" : to_string(order.trees[static_cast<std::size_t>(tree)]);
}

// Both cover [0, count).
std::vector<OtherOrder> other_orders(const KnownOrder& a, const KnownOrder& b) {
  std::vector<OtherOrder> others;
  auto in_b = b.segments.begin();
  for (const auto& in_a : a.segments) {
    for (std::int64_t at = in_a.begin; at < in_a.end;) {
      while (in_b->end <= at) ++in_b;
      const std::int64_t end = std::min(in_a.end, in_b->end);
      // Two sums without a tree may be anything: they are not said to be the same.
      OtherOrder one{at, end, tree_text(a, in_a.tree), tree_text(b, in_b->tree)};
      if (one.a != one.b || in_a.tree == kNotBinary) {
        if (!others.empty() && others.back().end == at && others.back().a == one.a &&
            others.back().b == one.b)
          others.back().end = end;
        else
          others.push_back(std::move(one));
      }
      at = end;
    }
  }
  return others;
}

bool is_no_tree(const OrderSegment& segment) {
  return segment.tree == kNotBinary;
}

std::string rounds_text(const std::optional<Accumulator>& accumulator) {
  return accumulator ? std::string(name_of(*accumulator)) : "not seen";
}

std::string variables_text(const CollectiveProfile& profile) {
  std::string text;
  for (const auto& [name, value] : profile.variables) text += (text.empty() ? "" : ", ") + name + "=" + value;
  return text.empty() ? "none" : text;
}

}  // namespace

std::optional<KnownOrder> known_order(const CollectiveProfile& profile, CollectiveOperation operation,
                                      DType dtype, std::int64_t count, bool captured, std::string& why) {
  if (const auto* one = profile.find(operation, dtype, count, captured); one != nullptr)
    return KnownOrder{one->probe.segments, one->probe.trees, one->probe.accumulator, true, one->seen};
  try {
    OrderMap map = profile.map_for(operation, dtype, count, captured);
    return KnownOrder{std::move(map.segments), std::move(map.trees), profile.accumulator(dtype), false, {}};
  } catch (const Error& error) {
    why = error.what();
    return std::nullopt;
  }
}

std::int64_t MessageDiff::elements() const {
  std::int64_t sum = 0;
  for (const auto& one : others) sum += one.end - one.begin;
  return sum;
}

bool ProfileDiff::differs() const {
  return std::any_of(messages.begin(), messages.end(), [](const auto& one) { return one.differs(); });
}

bool ProfileDiff::known() const {
  return std::any_of(messages.begin(), messages.end(), [](const auto& one) { return one.known(); });
}

MessageDiff diff_message(const CollectiveProfile& a, const CollectiveProfile& b,
                         CollectiveOperation operation, DType dtype, std::int64_t count, bool captured) {
  MessageDiff message;
  message.operation = operation;
  message.dtype = dtype;
  message.count = count;
  message.captured = captured;
  const auto in_a = known_order(a, operation, dtype, count, captured, message.unknown_to_a);
  const auto in_b = known_order(b, operation, dtype, count, captured, message.unknown_to_b);
  if (!in_a || !in_b) return message;
  message.others = other_orders(*in_a, *in_b);
  // Two operands have one add: rounded to float32 (float64) first, it has the same bits, because that holds
  // 2p + 2 bits for the p of the message (Figueroa: When is double rounding innocuous?, 1995).
  if (a.ranks > 2 && in_a->accumulator != in_b->accumulator) {
    message.rounds_a = rounds_text(in_a->accumulator);
    message.rounds_b = rounds_text(in_b->accumulator);
  }
  if (in_a->seen != in_b->seen) {
    message.seen_a = in_a->seen;
    message.seen_b = in_b->seen;
  }
  const auto wider = [&](const std::optional<Accumulator>& one) {
    return one == Accumulator::float64 ? size_of(dtype) < 8
                                       : one == Accumulator::float32 && size_of(dtype) < 4;
  };
  const bool trees = std::none_of(in_a->segments.begin(), in_a->segments.end(), is_no_tree) &&
                     std::none_of(in_b->segments.begin(), in_b->segments.end(), is_no_tree);
  message.rounded_once = in_a->accumulator == in_b->accumulator && wider(in_a->accumulator) && trees &&
                         in_a->seen.empty() && in_b->seen.empty();
  return message;
}

ProfileDiff diff_profiles(const CollectiveProfile& a, const CollectiveProfile& b) {
  if (a.ranks != b.ranks)
    throw usage_error(
        "{} is of {} ranks, {} of {}: their sums have other operands; compare profiles of as many ranks",
        a.file.string(), a.ranks, b.file.string(), b.ranks);
  ProfileDiff diff;
  const auto field = [&](const char* name, const std::string& in_a, const std::string& in_b) {
    if (in_a != in_b) diff.fields.push_back({name, in_a, in_b});
  };
  if (!a.named() && !b.named()) {  // a name has no library and no machine
    field("library", a.library, b.library);
    field("version", a.library_version, b.library_version);
    field("transport", a.transport, b.transport);
    field("device", a.device, b.device);
    field("machine", a.machine, b.machine);
    field("variables", variables_text(a), variables_text(b));
  }
  field("model", describe(a.model), describe(b.model));

  std::set<std::tuple<CollectiveOperation, DType, std::int64_t, bool>> keys;
  for (const auto* profile : {&a, &b})
    for (const auto& one : profile->probed)
      keys.emplace(one.operation, one.probe.dtype, one.probe.count, one.captured);
  for (const auto& [operation, dtype, count, captured] : keys)
    diff.messages.push_back(diff_message(a, b, operation, dtype, count, captured));
  return diff;
}

}  // namespace shardrift
