// Sums inside a graph are probed, kept and recorded apart from eager ones; a device whose graphs are stood in
// for, on real ranks. Under mpi_main.cpp: every rank runs each test.
#include <gtest/gtest.h>

#include "parallel/order_models/peer_order.hpp"
#include "parallel/transport/mpi_world.hpp"
#include "parallel/transport/peer_transport.hpp"
#include "tests/unit/model/counting_backend.hpp"
#include "worker/collectives.hpp"
#include "worker/machine_profile.hpp"

namespace shardrift {
namespace {

constexpr std::int64_t kPrefill = 640, kDecode = 480;  // elements
constexpr DType kDType = DType::float32;

// What is captured is run when it is launched, and the transport can tell.
class Graphs final : public CountingBackend {
 public:
  std::unique_ptr<CapturedWork> capture(const std::function<void()>& work) override {
    return CountingBackend::capture([this, work] {
      in_graph = true;
      work();
      in_graph = false;
    });
  }
  bool in_graph = false;
};

// MPI's all-reduce; inside a graph, if so asked, one of another order.
class TwoWays final : public Transport {
 public:
  TwoWays(const Communicator& ranks, const Graphs& graphs, bool differ)
      : eager_(make_mpi_transport(ranks)),
        other_(make_shared_memory_sum(ranks, Collective::two_shot, kPrefill * sizeof(float))),
        graphs_(graphs),
        differ_(differ) {}
  std::string_view name() const override { return eager_->name(); }
  int rank() const override { return eager_->rank(); }
  int size() const override { return eager_->size(); }
  void all_reduce(void* data, std::int64_t count, DType dtype) override {
    if (graphs_.in_graph && differ_) return other_->all_reduce(data, count, dtype);
    eager_->all_reduce(data, count, dtype);
  }
  void reduce_scatter(const void* send, void* receive, std::int64_t count, DType dtype) override {
    eager_->reduce_scatter(send, receive, count, dtype);
  }
  void all_gather(const void* send, void* receive, std::size_t bytes) override {
    eager_->all_gather(send, receive, bytes);
  }
  void send(const void* data, std::size_t bytes, int peer) override { eager_->send(data, bytes, peer); }
  void receive(void* data, std::size_t bytes, int peer) override { eager_->receive(data, bytes, peer); }

 private:
  std::unique_ptr<Transport> eager_;
  std::unique_ptr<PeerSum> other_;
  const Graphs& graphs_;
  bool differ_;
};

class CapturedSums : public ::testing::Test {
 protected:
  CapturedSums() : ranks_(duplicate()) {}
  static Communicator duplicate() {
    MPI_Comm comm = MPI_COMM_NULL;
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    return Communicator(comm);
  }
  CollectiveProfile probed(bool differ, RowLinear row_linear = RowLinear::reduce) {
    Plan plan;
    plan.shards = plan.tensor_parallel = ranks_.size();
    plan.device = Device::cuda;
    plan.launch = Launch::captured;
    plan.row_linear = row_linear;
    CollectiveProfile machine;
    machine.library = machine.transport = "mpi";
    machine.ranks = ranks_.size();
    TwoWays transport(ranks_, graphs_, differ);
    return probed_machine(transport, graphs_, plan, {{kPrefill}, {kDecode}}, machine, Pinning());
  }
  Communicator ranks_;
  Graphs graphs_;
};

TEST_F(CapturedSums, AreProbedInAGraphBesideEagerOnes) {
  const auto machine = probed(false);
  EXPECT_EQ(graphs_.captures, 1);  // once for all of a message's calls
  EXPECT_EQ(graphs_.replays, ranks_.size() * (ranks_.size() - 1) / 2);
  ASSERT_EQ(machine.probed.size(), 3U);
  const auto* eager = machine.find(CollectiveOperation::all_reduce, kDType, kDecode);
  const auto* captured = machine.find(CollectiveOperation::all_reduce, kDType, kDecode, true);
  ASSERT_NE(eager, nullptr);
  ASSERT_NE(captured, nullptr);
  EXPECT_EQ(captured->probe.map(), eager->probe.map());
  EXPECT_EQ(captured_orders(machine), "as eager ones");
  int in_graph = 0;
  for (const auto& info : observed_collectives(machine)) {
    in_graph += info.captured ? 1 : 0;
    EXPECT_TRUE(!info.captured || info.count == kDecode);
  }
  EXPECT_EQ(in_graph, 1);
}

TEST_F(CapturedSums, OfAnotherOrderAreFound) {
  const auto machine = probed(true);
  if (ranks_.size() == 2) {
    EXPECT_EQ(captured_orders(machine), "as eager ones");  // there is one order
    return;
  }
  EXPECT_EQ(captured_orders(machine), "otherwise than eager ones: all-reduce of 480 float32 elements");
  EXPECT_EQ(machine.map_for(CollectiveOperation::all_reduce, kDType, kDecode, true),
            peer_map(Collective::two_shot, kDecode, kDType, ranks_.size()));
  EXPECT_NE(machine.map_for(CollectiveOperation::all_reduce, kDType, kDecode),
            machine.map_for(CollectiveOperation::all_reduce, kDType, kDecode, true));
}

TEST_F(CapturedSums, ReduceScatterToo) {
  const auto machine = probed(false, RowLinear::scatter);
  EXPECT_EQ(captured_orders(machine), "as eager ones");
  EXPECT_EQ(graphs_.captures, 1);
}

TEST_F(CapturedSums, NothingIsSaidWhereNothingIsCaptured) {
  EXPECT_EQ(captured_orders(CollectiveProfile()), "");
}

}  // namespace
}  // namespace shardrift
