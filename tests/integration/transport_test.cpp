// The MPI transport on 1 to 4 real ranks. Under mpi_main.cpp: every rank runs each test.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "common/dtype.hpp"
#include "parallel/transport/agreement.hpp"
#include "parallel/transport/mpi_world.hpp"

namespace shardrift {
namespace {

Communicator everyone() {
  MPI_Comm comm = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  return Communicator(comm);
}

// Values whose sums are exact in every dtype: all orders must agree to the bit.
TEST(MpiTransport, AllReduceOfExactValuesIsExact) {
  const auto ranks = everyone();
  const auto transport = make_mpi_transport(ranks);
  const auto n = static_cast<float>(ranks.size());
  const float sum = n * (n + 1) / 2;
  for (const std::int64_t count : {1, 3, 576, 9000, 40000}) {
    std::vector<float> floats(static_cast<std::size_t>(count), static_cast<float>(ranks.rank() + 1));
    transport->all_reduce(floats.data(), count, DType::float32);
    std::vector<double> doubles(static_cast<std::size_t>(count), ranks.rank() + 1);
    transport->all_reduce(doubles.data(), count, DType::float64);
    std::vector<std::uint16_t> halves(static_cast<std::size_t>(count),
                                      float16_from_float(static_cast<float>(ranks.rank() + 1)));
    transport->all_reduce(halves.data(), count, DType::float16);
    std::vector<std::uint16_t> brains(static_cast<std::size_t>(count),
                                      bfloat16_from_float(static_cast<float>(ranks.rank() + 1)));
    transport->all_reduce(brains.data(), count, DType::bfloat16);
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      ASSERT_EQ(floats[i], sum);
      ASSERT_EQ(doubles[i], sum);
      ASSERT_EQ(float_from_float16(halves[i]), sum);
      ASSERT_EQ(float_from_bfloat16(brains[i]), sum);
    }
  }
}

// Whatever order the library takes, every rank must hold the same bits afterwards.
TEST(MpiTransport, EveryRanksCopyOfAnAllReduceIsTheSame) {
  const auto ranks = everyone();
  const auto transport = make_mpi_transport(ranks);
  const auto world = static_cast<std::size_t>(ranks.size());
  for (const std::size_t count : {1U, 577U, 5000U, 33000U, 300000U}) {
    std::mt19937 generator(static_cast<unsigned>(ranks.rank() * 1000) + static_cast<unsigned>(count));
    std::normal_distribution<float> normal;
    std::vector<float> floats(count);
    std::vector<std::uint16_t> brains(count);
    for (auto& value : floats) value = normal(generator);
    for (auto& value : brains) value = bfloat16_from_float(normal(generator));
    transport->all_reduce(floats.data(), static_cast<std::int64_t>(count), DType::float32);
    transport->all_reduce(brains.data(), static_cast<std::int64_t>(count), DType::bfloat16);
    const auto same_everywhere = [&](const void* data, std::size_t bytes) {
      std::vector<std::byte> all(bytes * world);
      MPI_Allgather(data, static_cast<int>(bytes), MPI_BYTE, all.data(), static_cast<int>(bytes), MPI_BYTE,
                    ranks.get());
      for (std::size_t r = 1; r < world; ++r)
        if (!std::equal(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(bytes),
                        all.begin() + static_cast<std::ptrdiff_t>(r * bytes)))
          return false;
      return true;
    };
    EXPECT_TRUE(same_everywhere(floats.data(), count * sizeof(float))) << count;
    EXPECT_TRUE(same_everywhere(brains.data(), count * 2)) << count;
  }
}

TEST(MpiTransport, ReduceScatterOfExactValuesIsExact) {
  const auto ranks = everyone();
  const auto transport = make_mpi_transport(ranks);
  const auto n = static_cast<float>(ranks.size());
  for (const std::int64_t count : {1, 576, 40000}) {
    const auto part = static_cast<std::size_t>(count);
    std::vector<float> floats(part * static_cast<std::size_t>(ranks.size()));
    std::vector<std::uint16_t> brains(floats.size());
    for (std::size_t i = 0; i < floats.size(); ++i) {
      floats[i] = static_cast<float>(i / part + 1);  // part k holds k + 1 on every rank
      brains[i] = bfloat16_from_float(floats[i]);
    }
    std::vector<float> float_sum(part);
    std::vector<std::uint16_t> brain_sum(part);
    transport->reduce_scatter(floats.data(), float_sum.data(), count, DType::float32);
    transport->reduce_scatter(brains.data(), brain_sum.data(), count, DType::bfloat16);
    const float expected = n * static_cast<float>(ranks.rank() + 1);
    for (std::size_t i = 0; i < part; ++i) {
      ASSERT_EQ(float_sum[i], expected);
      ASSERT_EQ(float_from_bfloat16(brain_sum[i]), expected);
    }
  }
}

TEST(MpiTransport, AllGatherMovesBitsUntouched) {
  const auto ranks = everyone();
  const auto transport = make_mpi_transport(ranks);
  const std::uint32_t pattern = 0x7FA00001U + static_cast<std::uint32_t>(ranks.rank());  // a signalling NaN
  std::vector<std::uint32_t> all(static_cast<std::size_t>(ranks.size()));
  transport->all_gather(&pattern, all.data(), sizeof pattern);
  for (std::size_t r = 0; r < all.size(); ++r) EXPECT_EQ(all[r], 0x7FA00001U + r);
}

TEST(MpiTransport, SendGoesToTheNextStage) {
  const auto ranks = everyone();
  const auto transport = make_mpi_transport(ranks);
  std::uint32_t value = 100;
  if (ranks.rank() > 0) transport->receive(&value, sizeof value, ranks.rank() - 1);
  EXPECT_EQ(value, 100U + static_cast<std::uint32_t>(ranks.rank()));
  ++value;
  if (ranks.rank() + 1 < ranks.size()) transport->send(&value, sizeof value, ranks.rank() + 1);
}

TEST(Agreement, NamesEachDifferenceItsValuesAndWhoHasThem) {
  const std::vector<std::string> hosts{"a", "a", "b"};
  const std::vector<Stated> usual{{"--reduction", "tree"}, {"torch", "2.1"}, {"config.json", "x", "1f (/m)"}};
  EXPECT_EQ(disagreement({usual, usual, usual}, hosts), "");
  auto other = usual;
  other[0].value = "";
  other[2].shown = "1f (/n)";  // shown otherwise, but the same
  EXPECT_EQ(disagreement({usual, other, usual}, hosts),
            "--reduction is tree on ranks 0, 2 on a, b, but (none) on rank 1 on a");
  other[2].value = "y";
  EXPECT_EQ(disagreement({usual, usual, other}, hosts),
            "--reduction is tree on ranks 0, 1 on a, but (none) on rank 2 on b; "
            "config.json is 1f (/m) on ranks 0, 1 on a, but 1f (/n) on rank 2 on b");
  auto less = usual;
  less.pop_back();  // not known there
  EXPECT_EQ(disagreement({less, usual}, {"a", "b"}),
            "config.json is (none) on rank 0 on a, but 1f (/m) on rank 1 on b");
  EXPECT_EQ(
      disagreement({{{"plan", std::string(81, 'x')}}, {{"plan", std::string(80, 'x')}}}, {"a", "b"}),
      "plan is SHA-256 4d1f7bb876c6aae0 on rank 0 on a, but " + std::string(80, 'x') + " on rank 1 on b");
}

}  // namespace
}  // namespace shardrift
