// The probe on the live MPI all-reduce, the order model against it, and the decisive check: random numbers
// summed live have the bits of a scalar fold under the probed map. Under mpi_main.cpp: every rank runs each
// test. Pinned algorithms: probe_command_test.cpp.
#include "parallel/probe/probe.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "parallel/order_models/openmpi_order.hpp"
#include "parallel/reduction/scalar_fold.hpp"
#include "parallel/transport/mpi_world.hpp"
#include "tests/support/test_sums.hpp"

namespace shardrift {
namespace {

constexpr std::array kDTypes{DType::float64, DType::float32, DType::float16, DType::bfloat16};
// Around every cut-over of the library, in every dtype.
constexpr std::array<std::int64_t, 23> kCounts{1,    2,     3,     4,     5,      7,      8,     577,
                                               1023, 1024,  2047,  2048,  4095,   4096,   8191,  8192,
                                               9792, 16384, 32768, 65536, 131071, 131072, 300000};

class LiveProbe : public ::testing::Test {
 protected:
  LiveProbe() : ranks_(duplicate()), transport_(make_mpi_transport(ranks_)) {}
  static Communicator duplicate() {
    MPI_Comm comm = MPI_COMM_NULL;
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    return Communicator(comm);
  }
  ProbeResult probe(std::int64_t count, DType dtype) {
    const auto all_reduce = [this](void* data, std::int64_t n, DType type) {
      transport_->all_reduce(data, n, type);
    };
    return probe_sum(ranks_.size(), count, dtype,
                     testing::in_place_sum(ranks_.rank(), all_reduce, count, dtype));
  }
  Communicator ranks_;
  std::unique_ptr<Transport> transport_;
};

TEST_F(LiveProbe, TheModelGivesTheProbedMap) {
  for (const DType dtype : kDTypes)
    for (const auto count : kCounts) {
      const auto found = probe(count, dtype);
      const auto model = openmpi_all_reduce_map(count, dtype, ranks_.size(), OpenMpiAllReduce::automatic);
      ASSERT_TRUE(model);
      EXPECT_EQ(first_difference(*model, found.map()), -1) << count << " " << name_of(dtype);
      EXPECT_EQ(found.accumulator, Accumulator::message);
      EXPECT_EQ(found.calls, ranks_.size() * (ranks_.size() - 1) / 2 + 1);
    }
}

// An expected order that is wrong on purpose must be noticed, at the right element.
TEST_F(LiveProbe, AWrongModelIsFound) {
  if (ranks_.size() == 2) GTEST_SKIP() << "two ranks have one order";
  const auto found = probe(5000, DType::float32).map();
  EXPECT_EQ(first_difference(found, uniform_map(chain_tree(ranks_.size()), 5000)), 0);
  const auto& tree = found.trees.front();
  const auto first_end = found.segments.front().end;
  OrderMapBuilder wrong(5000);
  wrong.append(first_end - 1, tree);
  wrong.append(5000 - first_end + 1, chain_tree(ranks_.size()));
  EXPECT_EQ(first_difference(found, wrong.finish()), first_end - 1);
}

TEST_F(LiveProbe, RandomNumbersHaveTheBitsOfTheFold) {
  for (const DType dtype : kDTypes)
    for (const std::int64_t count : {1, 577, 1500, 5000, 40000, 300000}) {
      const auto map = probe(count, dtype).map();
      const std::size_t bytes = size_of(dtype) * static_cast<std::size_t>(count);
      // Any words but NaN and infinities: subnormals and whatever else there is.
      std::vector<std::byte> partials(bytes * static_cast<std::size_t>(ranks_.size()));
      std::mt19937 random(static_cast<unsigned>(count));
      for (auto& byte : partials) byte = static_cast<std::byte>(random());
      const auto element = size_of(dtype);
      for (std::size_t i = element - 1; i < partials.size(); i += element)  // keep the exponent off all ones
        partials[i] &= static_cast<std::byte>(0xBB);
      std::vector<std::byte> folded(bytes);
      scalar_fold(partials.data(), bytes, dtype, map, Accumulator::message, folded.data(), dtype);
      std::vector<std::byte> live(bytes);
      std::memcpy(live.data(), &partials[static_cast<std::size_t>(ranks_.rank()) * bytes], bytes);
      transport_->all_reduce(live.data(), count, dtype);
      EXPECT_EQ(std::memcmp(live.data(), folded.data(), bytes), 0) << count << " " << name_of(dtype);
      if (ranks_.size() < 4 || count < 577) continue;
      // The same under another tree has other bits: the check can fail.
      scalar_fold(partials.data(), bytes, dtype, uniform_map(chain_tree(ranks_.size()), count),
                  Accumulator::message, folded.data(), dtype);
      EXPECT_NE(std::memcmp(live.data(), folded.data(), bytes), 0) << count << " " << name_of(dtype);
    }
}

TEST_F(LiveProbe, ReduceScatterToo) {
  const int n = ranks_.size();
  for (const DType dtype : kDTypes)
    for (const std::int64_t part : {16, 1000, 50000}) {
      const auto count = part * n;
      const auto sum = [&](const FillPartial& fill, void* out) {
        std::vector<std::byte> mine(size_of(dtype) * static_cast<std::size_t>(part));
        fill(ranks_.rank(), out);
        transport_->reduce_scatter(out, mine.data(), part, dtype);
        transport_->all_gather(mine.data(), out, mine.size());
      };
      const auto found = probe_sum(n, count, dtype, sum);
      EXPECT_EQ(found.map().count, count);
      EXPECT_EQ(found.accumulator, Accumulator::message);  // the trees explain every bit
    }
}

}  // namespace
}  // namespace shardrift
