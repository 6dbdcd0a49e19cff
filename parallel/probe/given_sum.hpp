// What a live sum makes of a few numbers that everybody can add in their head: 4096, -4096 and 1 are 1, and
// in bfloat16 0 where 1 meets one of the others first. The plainest sight of an order: the same numbers on
// the same ranks, and one element of the message has another sum than its neighbour.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "parallel/probe/probe.hpp"

namespace shardrift {

struct ValueSegment {  // elements [begin, end) of the sum are all `value`
  std::int64_t begin = 0;
  std::int64_t end = 0;
  double value = 0;
  bool operator==(const ValueSegment&) const = default;
};

struct GivenSum {
  std::vector<double> given;           // [ranks]: what each contributes, the same in every element
  std::vector<ValueSegment> segments;  // covering [0, count)
};

// Is this number one of the dtype's own? Others would be rounded before anything is added.
bool is_in(double value, DType dtype);

// Throws usage_error: fewer than 2 numbers, more than ranks, one that is not in the dtype.
void check_numbers(const std::vector<double>& numbers, int ranks, DType dtype);

// One call of `sum` for each way of turning the numbers round among the ranks; ranks beyond the numbers
// contribute 0. Throws as check_numbers.
std::vector<GivenSum> given_sums(int ranks, std::int64_t count, DType dtype, const ProbedSum& sum,
                                 const std::vector<double>& numbers);

// "  4096 -4096 1 0: [0, 192) 1 / [192, 384) 0", one line each.
std::string describe(const std::vector<GivenSum>& sums, int most);

}  // namespace shardrift
