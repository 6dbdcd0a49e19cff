// What two collective profiles of as many ranks say of the same messages: which elements are added in another
// order. Orders that differ only in the operands' sides are one (sum_tree.hpp), because such sums have the
// same bits.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "parallel/profile/profile.hpp"

namespace shardrift {

// A message's orders as one profile knows them: probed, or by its model. tree kNotBinary: no binary tree.
struct KnownOrder {
  std::vector<OrderSegment> segments;
  std::vector<SumTree> trees;
  std::optional<Accumulator> accumulator;  // nullopt: it was not seen where the sum rounds
  bool probed = false;
  // Why no fold can predict it (ProbedCollective::seen): the trees are then not all there is to it.
  std::string seen;
};

// nullopt: the profile does not know that message; `why` then has the reason.
std::optional<KnownOrder> known_order(const CollectiveProfile& profile, CollectiveOperation operation,
                                      DType dtype, std::int64_t count, bool captured, std::string& why);

// Elements [begin, end) that the profiles add by different trees; kNotBinary as above.
struct OtherOrder {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::string a, b;  // "(0+1)+2", or "no binary tree"
};

struct MessageDiff {
  CollectiveOperation operation = CollectiveOperation::all_reduce;
  DType dtype = DType::float32;
  std::int64_t count = 0;
  bool captured = false;
  std::string unknown_to_a, unknown_to_b;  // why; empty: known
  std::vector<OtherOrder> others;          // ascending; neighbours of one pair of trees are one
  bool rounded_once = false;  // both add in a wider dtype than the message's, the same, and round at the end
  std::string rounds_a, rounds_b;  // where they round, where that can differ (3 ranks on); else empty
  // What of the probes no fold can predict, where A and B do not say the same of it; else empty.
  std::string seen_a, seen_b;

  bool known() const { return unknown_to_a.empty() && unknown_to_b.empty(); }
  std::int64_t elements() const;  // added in another order
  bool differs_throughout() const { return rounds_a != rounds_b || seen_a != seen_b; }  // in every element
  bool differs() const { return known() && (!others.empty() || differs_throughout()); }
  // Another order, which seldom shows: 16-bit numbers added in float32 lose something only where exponents
  // lie ten or more apart, and then 2^-13 of a step of the message's dtype (times what leading bits cancel).
  bool seldom() const { return differs() && rounded_once; }
};

struct ProfileDiff {
  struct Field {
    std::string name, a, b;
  };
  std::vector<Field> fields;          // library, version, machine …: those that differ
  std::vector<MessageDiff> messages;  // every message that one of them probed
  bool differs() const;               // whether a message that both know does
  bool known() const;                 // whether there is one that both know
};

// One message, probed or known by a model; not known where a profile is silent. Both of as many ranks.
MessageDiff diff_message(const CollectiveProfile& a, const CollectiveProfile& b,
                         CollectiveOperation operation, DType dtype, std::int64_t count, bool captured);
// Throws usage_error where the numbers of ranks differ.
ProfileDiff diff_profiles(const CollectiveProfile& a, const CollectiveProfile& b);

}  // namespace shardrift
