// Our own all-reduces on 2 to 4 real ranks of one host: the bits of a fold by their stated order, and nothing
// else's. Under mpi_main.cpp: every rank runs each test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "common/error.hpp"
#include "parallel/order_models/peer_order.hpp"
#include "parallel/probe/probe.hpp"
#include "parallel/reduction/scalar_fold.hpp"
#include "parallel/transport/peer_transport.hpp"
#include "tests/support/test_sums.hpp"

namespace shardrift {
namespace {

constexpr std::array kDTypes{DType::float64, DType::float32, DType::float16, DType::bfloat16};
constexpr std::array kOurs{Collective::one_shot, Collective::two_shot};
constexpr std::int64_t kLargest = 300000;

class PeerSums : public ::testing::TestWithParam<Collective> {
 protected:
  PeerSums() : ranks_(duplicate()) {}
  static Communicator duplicate() {
    MPI_Comm comm = MPI_COMM_NULL;
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    return Communicator(comm);
  }
  std::unique_ptr<Transport> transport(std::int64_t largest = kLargest) const {
    return with_peer_sum(
        make_mpi_transport(ranks_), GetParam(),
        make_shared_memory_sum(ranks_, GetParam(), static_cast<std::size_t>(largest) * sizeof(double)));
  }
  std::vector<std::byte> message_of(int rank, std::int64_t count, DType dtype) const {
    std::vector<std::byte> message(size_of(dtype) * static_cast<std::size_t>(count));
    fill_random(rank, count, dtype, message.data());
    return message;
  }
  // What a fold of all ranks' messages by that map gives.
  std::vector<std::byte> folded(const OrderMap& map, DType dtype, Accumulator accumulator) const {
    std::vector<std::byte> partials;
    for (int rank = 0; rank < ranks_.size(); ++rank) {
      const auto message = message_of(rank, map.count, dtype);
      partials.insert(partials.end(), message.begin(), message.end());
    }
    const std::size_t bytes = size_of(dtype) * static_cast<std::size_t>(map.count);
    std::vector<std::byte> sum(bytes);
    scalar_fold(partials.data(), bytes, dtype, map, accumulator, sum.data(), dtype);
    return sum;
  }
  Communicator ranks_;
};

TEST_P(PeerSums, HaveTheBitsOfTheFold) {
  const auto peers = transport();
  for (const DType dtype : kDTypes)
    for (const std::int64_t count : {1, 7, 8, 577, 4096, 5001, 300000}) {
      const auto map = peer_map(GetParam(), count, dtype, ranks_.size());
      const auto expected = folded(map, dtype, peer_accumulator(dtype));
      auto live = message_of(ranks_.rank(), count, dtype);
      peers->all_reduce(live.data(), count, dtype);
      EXPECT_TRUE(live == expected) << count << " " << name_of(dtype);
      if (GetParam() == Collective::one_shot) {
        EXPECT_TRUE(live == folded(uniform_map(linear_tree(ranks_.size()), count), dtype,
                                   size_of(dtype) == 2 ? Accumulator::float32 : Accumulator::message));
      }
      // A control that has other bits: another order; of 16-bit messages, whose float32 sums are mostly exact
      // in any order, a rounding at every add.
      if (ranks_.size() == 2 || count < 577) continue;
      const bool narrow = size_of(dtype) == 2;
      const auto other = narrow ? map : uniform_map(chain_tree(ranks_.size()), count);
      EXPECT_FALSE(live == folded(other, dtype, Accumulator::message)) << count << " " << name_of(dtype);
    }
}

TEST_P(PeerSums, AreRecoveredByTheProbe) {
  const auto peers = transport();
  for (const DType dtype : kDTypes)
    for (const std::int64_t count : {1, 7, 4096, 5001}) {
      const auto sum = [&](void* data, std::int64_t n, DType type) { peers->all_reduce(data, n, type); };
      const auto found =
          probe_sum(ranks_.size(), count, dtype, testing::in_place_sum(ranks_.rank(), sum, count, dtype),
                    true, peer_accumulator(dtype));
      EXPECT_EQ(found.map(), peer_map(GetParam(), count, dtype, ranks_.size())) << count << name_of(dtype);
      EXPECT_EQ(found.accumulator, peer_accumulator(dtype)) << count << " " << name_of(dtype);
    }
}

// Calls follow each other without a barrier: messages of changing sizes, each with its own sum, every rank in
// a hurry at another time.
TEST_P(PeerSums, ThatFollowEachOtherDoNotMix) {
  const auto peers = transport(5000);
  const auto n = static_cast<float>(ranks_.size());
  for (int call = 0; call < 3000; ++call) {
    const std::int64_t count = 1 + call * 131 % 5000;
    const auto value = static_cast<float>(call % 97);
    std::vector<float> data(static_cast<std::size_t>(count), value + static_cast<float>(ranks_.rank()));
    peers->all_reduce(data.data(), count, DType::float32);
    for (const float sum : data) ASSERT_EQ(sum, n * value + n * (n - 1) / 2) << call;
    if (call % 7 == ranks_.rank()) sched_yield();
  }
}

TEST_P(PeerSums, OfMoreThanTheyWereMadeForFail) {
  const auto peers = transport(16);
  std::vector<double> data(17);
  EXPECT_EQ(peers->name(), name_of(GetParam()));
  EXPECT_THROW(peers->all_reduce(data.data(), 17, DType::float64),
               Error);                                // before anything is said to others
  peers->all_reduce(data.data(), 0, DType::float64);  // nothing
  peers->all_reduce(data.data(), 16, DType::float64);
}

// Everything else is the library's.
TEST_P(PeerSums, LeaveTheRestToTheLibrary) {
  const auto peers = transport(1);
  const std::uint32_t pattern = 0x7FA00001U + static_cast<std::uint32_t>(ranks_.rank());
  std::vector<std::uint32_t> all(static_cast<std::size_t>(ranks_.size()));
  peers->all_gather(&pattern, all.data(), sizeof pattern);
  for (std::size_t r = 0; r < all.size(); ++r) EXPECT_EQ(all[r], 0x7FA00001U + r);
  EXPECT_EQ(peers->rank(), ranks_.rank());
  EXPECT_EQ(peers->size(), ranks_.size());
}

INSTANTIATE_TEST_SUITE_P(Ours, PeerSums, ::testing::ValuesIn(kOurs), [](const auto& one) {
  return one.param == Collective::one_shot ? "OneShot" : "TwoShot";
});

TEST(PeerSumsRefusals, GroupsOnSeveralHosts) {
  Plan plan;
  plan.tensor_parallel = 2;
  const std::vector<std::string> hosts{"a", "a", "b", "b"};
  require_one_host(plan, {"x", "y"}, {"a", "b"});  // the library's business
  plan.collective = Collective::two_shot;
  require_one_host(plan, hosts, hosts);  // every group on one
  try {
    require_one_host(plan, {"a 1", "a 1", "a 1", "a 2"}, {"a", "a", "a", "a"});  // two machines of one name
    FAIL() << "not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("rank 2 is on a and rank 3 on a"));
  }
}

// One rank's failure is everybody's.
TEST(PeerSumsRefusals, OneRanksFailureIsEverybodys) {
  MPI_Comm comm = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  const Communicator ranks(comm);
  EXPECT_THROW(together_in(ranks, "testing",
                           [&] {
                             if (ranks.rank() == 1) throw failure("not here");
                           }),
               Error);
  together_in(ranks, "testing", [] {});
}

}  // namespace
}  // namespace shardrift
