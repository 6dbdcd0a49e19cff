// The CPU fold against the scalar reference: every order, dtype, accumulator and partial dtype.
#include <gtest/gtest.h>

#include <algorithm>

#include "model/device_order_map.hpp"
#include "tests/support/fold_cases.hpp"

namespace shardrift::testing {
namespace {

struct Fold {  // one fold on a backend
  Backend& backend;
  const Bytes& partials;
  std::size_t stride;
  FoldDTypes dtypes;
  Accumulator accumulator;

  Bytes operator()(const OrderMap& map) const {
    const DeviceOrderMap on_device(backend, map);
    Buffer data(backend, partials.size());
    backend.upload(data.data(), partials.data(), partials.size());
    OwnedMatrix out(backend, 1, map.count, dtypes.out);
    backend.fold(data.data(), stride, dtypes.partial, on_device, accumulator, out.view);
    Bytes result(out.view.bytes());
    backend.download(result.data(), out.view.data, result.size());
    return result;
  }
};

TEST(CpuFold, HasTheScalarReferencesBits) {
  const auto backend = make_cpu_backend(2);
  int folds = 0;
  for_each_fold({1, 2, 3, 4, 5, 8, 64}, {1, 7, 640, 1030},
                [&](const OrderMap& map, FoldDTypes dtypes, Accumulator accumulator, const Bytes& partials,
                    std::size_t stride, const Bytes& expected, const std::string& what) {
                  const Bytes got = Fold{*backend, partials, stride, dtypes, accumulator}(map);
                  ASSERT_EQ(first_difference(got, expected, dtypes.out), -1) << what;
                  ++folds;
                });
  EXPECT_GT(folds, 2000);
}

// The comparison above sees a wrong order: with message rounding, another map gives other bits.
TEST(CpuFold, AWrongOrderIsSeen) {
  const auto backend = make_cpu_backend(1);
  constexpr std::int64_t kCount = 4096;
  for (const auto dtypes : fold_dtypes()) {
    const Bytes partials = awkward_words(kCount * 4, dtypes.partial, 77);
    const Fold fold{*backend, partials, kCount * size_of(dtypes.partial), dtypes, Accumulator::message};
    std::vector<Bytes> results;
    for (const auto* order : {"linear", "chain", "ring", "tree", "tree:7", "perm:2,0,3,1"}) {
      results.push_back(fold(local_order_map(reduction_from_text(order), 4, kCount)));
      for (std::size_t i = 0; i + 1 < results.size(); ++i)
        EXPECT_NE(first_difference(results[i], results.back(), dtypes.out), -1)
            << order << " has the bits of order " << i << ", " << name_of(dtypes.partial);
    }
  }
}

TEST(CpuFold, ThreadsChangeNoBits) {
  constexpr std::int64_t kCount = 300001;
  const Bytes partials = awkward_words((kCount + 127) / 128 * 128 * 4, DType::bfloat16, 5);
  const std::size_t stride = partials.size() / 4;
  const auto map = local_order_map(reduction_from_text("ring"), 4, kCount);
  Bytes expected(kCount * 2);
  scalar_fold(partials.data(), stride, DType::bfloat16, map, Accumulator::message, expected.data(),
              DType::bfloat16);
  for (const int threads : {1, 2, 3}) {
    const auto backend = make_cpu_backend(threads);
    const Fold fold{*backend, partials, stride, {DType::bfloat16, DType::bfloat16}, Accumulator::message};
    EXPECT_EQ(first_difference(fold(map), expected, DType::bfloat16), -1) << threads << " threads";
  }
}

TEST(CpuFold, RefusesAMapOfAnotherMessage) {
  const auto backend = make_cpu_backend(1);
  const DeviceOrderMap map(*backend, uniform_map(linear_tree(2), 8));
  OwnedMatrix out(*backend, 1, 9, DType::float32);
  EXPECT_ANY_THROW(backend->fold(out.view.data, 64, DType::float32, map, Accumulator::message, out.view));
  OwnedMatrix wide(*backend, 1, 8, DType::float64);
  EXPECT_ANY_THROW(backend->fold(wide.view.data, 64, DType::float64, map, Accumulator::float32, wide.view));
  EXPECT_ANY_THROW(backend->fold(wide.view.data, 64, DType::bfloat16, map, Accumulator::message, wide.view));
}

TEST(DeviceTree, LeavesAndTheAddsAfterEach) {
  const DeviceTree tree = device_tree(tree_from_string("((2+3)+(0+1))+4"));
  const std::vector<int> leaves(tree.leaf, tree.leaf + 5);
  const std::vector<int> adds(tree.adds, tree.adds + 5);
  EXPECT_EQ(leaves, (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(adds, (std::vector<int>{0, 1, 0, 2, 1}));
}

// The encoding that the CUDA fold runs, evaluated as text: the same tree.
TEST(DeviceTree, IsTheTree) {
  const auto decoded = [](const SumTree& tree) {
    const DeviceTree coded = device_tree(tree);
    std::vector<std::string> stack;
    for (int i = 0; i < tree.shards(); ++i) {
      stack.push_back(std::to_string(coded.leaf[i]));
      for (int adds = coded.adds[i]; adds > 0; --adds) {
        const std::string second = stack.back();
        stack.pop_back();
        stack.back() = "(" + stack.back() + "+" + second + ")";
      }
    }
    EXPECT_EQ(stack.size(), 1U);
    const std::string& text = stack.front();
    return tree.shards() == 1 ? text : text.substr(1, text.size() - 2);
  };
  for (const int shards : {1, 2, 3, 4, 5, 6})
    for (std::int64_t index = 0; index < tree_count(shards); ++index)
      ASSERT_EQ(decoded(tree_by_index(shards, index)), to_string(tree_by_index(shards, index)));
  for (const auto& tree : {linear_tree(64), chain_tree(64), balanced_tree(64), ring_tree(64, 17)})
    EXPECT_EQ(decoded(tree), to_string(tree));
}

// The index by granule finds every element's segment, walking forward only.
TEST(DeviceOrderMap, FindsTheSegmentOfEveryElement) {
  const auto backend = make_cpu_backend(1);
  constexpr std::int64_t kCount = 5000;
  OrderMapBuilder builder(kCount);
  std::int64_t left = kCount;
  for (std::int64_t piece = 1; left > 0; ++piece) {
    const std::int64_t length = std::min(left, piece % 5 == 0 ? 1300 : piece);
    builder.append(length, tree_by_index(4, piece % 15));
    left -= length;
  }
  const DeviceOrderMap map(*backend, builder.finish());
  for (const auto& segment : map.host().segments) {
    for (std::int64_t i = segment.begin; i < segment.end; ++i) {
      const DeviceSegment* found = map.segments() + map.first_segment()[i / DeviceOrderMap::kGranule];
      ASSERT_LE(found - map.segments(), &segment - map.host().segments.data());
      while (found->end <= i) ++found;
      ASSERT_EQ(found->tree, segment.tree) << i;
    }
  }
  EXPECT_EQ(map.stack(), 3);
}

}  // namespace
}  // namespace shardrift::testing
