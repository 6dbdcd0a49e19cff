// The scalar reference against an evaluation that shares nothing with it but the text of a tree, and against
// numbers that real all-reduces were seen to give.
#include "parallel/reduction/scalar_fold.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <set>

#include "common/error.hpp"
#include "parallel/reduction/narrow_sum.hpp"
#include "parallel/reduction/round_once.hpp"
#include "tests/support/fold_cases.hpp"

namespace shardrift::testing {
namespace {

// Evaluates "((1+2)+3)+0" recursively.
template <typename T>
T evaluate(std::string_view text, const std::function<T(int)>& leaf, const std::function<T(T, T)>& plus) {
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
    if (depth == 0 && text[i] == '+')
      return plus(evaluate(text.substr(0, i), leaf, plus), evaluate(text.substr(i + 1), leaf, plus));
  }
  if (text.front() == '(') return evaluate(text.substr(1, text.size() - 2), leaf, plus);
  return leaf(std::stoi(std::string(text)));
}

template <typename T>
Bytes evaluated(const OrderMap& map, const Bytes& partials, std::size_t stride,
                const std::function<T(T, T)>& plus) {
  Bytes result(static_cast<std::size_t>(map.count) * sizeof(T));
  for (const auto& segment : map.segments) {
    const std::string text = to_string(map.trees[static_cast<std::size_t>(segment.tree)]);
    for (auto i = static_cast<std::size_t>(segment.begin); i < static_cast<std::size_t>(segment.end); ++i) {
      const T value = evaluate<T>(
          text,
          [&](int shard) {
            T word{};
            std::memcpy(&word, partials.data() + static_cast<std::size_t>(shard) * stride + i * sizeof(T),
                        sizeof(T));
            return word;
          },
          plus);
      std::memcpy(result.data() + i * sizeof(T), &value, sizeof(T));
    }
  }
  return result;
}

TEST(ScalarFold, MessageSumsAreThoseOfTheTreesText) {
  const auto narrow = [](auto add) {
    return [add](std::uint16_t a, std::uint16_t b) {
      add(&a, &b, 1);
      return b;
    };
  };
  int folds = 0;
  for_each_fold({1, 2, 3, 4, 5, 8, 64}, {1, 301},
                [&](const OrderMap& map, FoldDTypes dtypes, Accumulator accumulator, const Bytes& partials,
                    std::size_t stride, const Bytes& got, const std::string& what) {
                  if (accumulator != Accumulator::message || dtypes.partial != dtypes.out) return;
                  Bytes expected;
                  if (dtypes.out == DType::float64)
                    expected = evaluated<double>(map, partials, stride, std::plus<>());
                  if (dtypes.out == DType::float32)
                    expected = evaluated<float>(map, partials, stride, std::plus<>());
                  if (dtypes.out == DType::float16)
                    expected = evaluated<std::uint16_t>(map, partials, stride, narrow(add_float16));
                  if (dtypes.out == DType::bfloat16)
                    expected = evaluated<std::uint16_t>(map, partials, stride, narrow(add_bfloat16));
                  ASSERT_EQ(first_difference(got, expected, dtypes.out), -1) << what;
                  ++folds;
                });
  EXPECT_GT(folds, 200);
}

// One column of constants, one per shard, summed by a tree in bfloat16.
double bfloat16_sum(const std::vector<double>& values, const SumTree& tree,
                    Accumulator accumulator = Accumulator::message) {
  Bytes partials(values.size() * 2);
  for (std::size_t s = 0; s < values.size(); ++s)
    put_value(values[s], DType::bfloat16, partials.data() + 2 * s);
  Bytes out(2);
  scalar_fold(partials.data(), 2, DType::bfloat16, uniform_map(tree, 1), accumulator, out.data(),
              DType::bfloat16);
  return value_at(out, DType::bfloat16, 0);
}

// Seen on four H100s: NCCL's ring by chunk, its tree, and a float32 sum in rank order.
TEST(ScalarFold, TheConstantsThatTellNcclsOrdersApart) {
  const std::vector<double> constants{223, 872, -30, -876};
  EXPECT_EQ(bfloat16_sum(constants, ring_tree(4, 0)), 187);
  EXPECT_EQ(bfloat16_sum(constants, ring_tree(4, 1)), 192);
  EXPECT_EQ(bfloat16_sum(constants, ring_tree(4, 2)), 190);
  EXPECT_EQ(bfloat16_sum(constants, ring_tree(4, 3)), 188);
  EXPECT_EQ(bfloat16_sum(constants, chain_tree(4)), 191);
  EXPECT_EQ(bfloat16_sum(constants, linear_tree(4), Accumulator::float32), 189);
  EXPECT_EQ(bfloat16_sum(constants, chain_tree(4), Accumulator::float64), 189);
}

TEST(ScalarFold, TwoCallsSeparateAllFifteenTrees) {
  std::set<std::pair<double, double>> seen;
  for (int index = 0; index < 15; ++index) {
    const SumTree tree = tree_by_index(4, index);
    seen.insert(
        {bfloat16_sum({708, -221, -14.625, -362}, tree), bfloat16_sum({-150, -2576, 2656, -7.34375}, tree)});
  }
  EXPECT_EQ(seen.size(), 15U);
}

// A wrong order must show: every other tree of four shards changes some element of awkward data.
TEST(ScalarFold, EveryWrongTreeIsSeen) {
  constexpr std::int64_t kCount = 512;
  for (const auto dtype : {DType::float64, DType::float32, DType::float16, DType::bfloat16}) {
    const std::size_t stride = kCount * size_of(dtype);
    const Bytes partials = awkward_words(4 * kCount, dtype, 9);
    std::vector<Bytes> results;
    for (int index = 0; index < 15; ++index) {
      results.emplace_back(stride);
      scalar_fold(partials.data(), stride, dtype, uniform_map(tree_by_index(4, index), kCount),
                  Accumulator::message, results.back().data(), dtype);
      for (int other = 0; other < index; ++other)
        EXPECT_NE(first_difference(results[static_cast<std::size_t>(other)], results.back(), dtype), -1)
            << name_of(dtype) << ": trees " << other << " and " << index;
    }
  }
}

TEST(ScalarFold, RoundsWhereTheAccumulatorSays) {
  const std::vector<double> ones{256, 1, 1};
  EXPECT_EQ(bfloat16_sum(ones, linear_tree(3)), 256);  // each 1 is lost
  EXPECT_EQ(bfloat16_sum(ones, linear_tree(3), Accumulator::float32), 258);
  const std::vector<float> partials{1e8F, 1.0F, -1e8F};
  float out = 0;
  const auto fold = [&](Accumulator accumulator) {
    scalar_fold(partials.data(), 4, DType::float32, uniform_map(linear_tree(3), 1), accumulator, &out,
                DType::float32);
    return out;
  };
  EXPECT_EQ(fold(Accumulator::message), 0.0F);
  EXPECT_EQ(fold(Accumulator::float64), 1.0F);
  const std::vector<float> zeros{-0.0F, -0.0F};
  scalar_fold(zeros.data(), 4, DType::float32, uniform_map(linear_tree(2), 1), Accumulator::float64, &out,
              DType::float32);
  EXPECT_TRUE(std::signbit(out));
}

// float64 to 16 bits is one rounding: by way of a nearest float32, ties that are none would go to even.
TEST(RoundOnce, NoDoubleRounding) {
  const double above_tie = 1 + 0x1p-8 + 0x1p-40;
  EXPECT_EQ(bfloat16_from_float(static_cast<float>(above_tie)), 0x3F80);  // twice: wrong
  EXPECT_EQ(bfloat16_from_float(odd_float_from(above_tie)), 0x3F81);
  EXPECT_EQ(bfloat16_from_float(odd_float_from(1 + 0x1p-8)), 0x3F80);            // a true tie: even
  EXPECT_EQ(bfloat16_from_float(odd_float_from(1 + 0x3p-8 - 0x1p-40)), 0x3F81);  // just below one
  EXPECT_EQ(float16_from_float(odd_float_from(-(1 + 0x1p-11 + 0x1p-45))), 0xBC01);
  EXPECT_EQ(float16_from_float(odd_float_from(0x1p-25 + 0x1p-60)), 1);  // subnormal
  EXPECT_EQ(float16_from_float(odd_float_from(0x1p-25)), 0);
  EXPECT_EQ(bfloat16_from_float(odd_float_from(1e300)), 0x7F80);
  EXPECT_EQ(bfloat16_from_float(odd_float_from(5e-324)), 0);
  EXPECT_TRUE(std::signbit(odd_float_from(-0.0)));
  EXPECT_TRUE(std::isinf(odd_float_from(INFINITY)));
  EXPECT_TRUE(std::isnan(odd_float_from(NAN)));
}

TEST(ScalarFold, RefusesToNarrowPartials) {
  double value = 1;
  const auto map = uniform_map(linear_tree(1), 1);
  EXPECT_THROW(scalar_fold(&value, 8, DType::float64, map, Accumulator::float32, &value, DType::float64),
               Error);
  EXPECT_THROW(scalar_fold(&value, 8, DType::float64, map, Accumulator::message, &value, DType::float32),
               Error);
  EXPECT_THROW(scalar_fold(&value, 8, DType::float16, map, Accumulator::message, &value, DType::bfloat16),
               Error);
}

}  // namespace
}  // namespace shardrift::testing
