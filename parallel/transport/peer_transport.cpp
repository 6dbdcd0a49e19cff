#include "parallel/transport/peer_transport.hpp"

#include <exception>
#include <utility>

#include "common/error.hpp"
#include "common/progress.hpp"

namespace shardrift {
namespace {

class PeerTransport final : public Transport {
 public:
  PeerTransport(std::unique_ptr<Transport> library, Collective collective, std::unique_ptr<PeerSum> sum)
      : library_(std::move(library)), collective_(collective), sum_(std::move(sum)) {}
  std::string_view name() const override { return name_of(collective_); }
  int rank() const override { return library_->rank(); }
  int size() const override { return library_->size(); }
  void all_reduce(void* data, std::int64_t count, DType dtype) override {
    sum_->all_reduce(data, count, dtype);
  }
  void reduce_scatter(const void* send, void* receive, std::int64_t count, DType dtype) override {
    library_->reduce_scatter(send, receive, count, dtype);
  }
  void all_gather(const void* send, void* receive, std::size_t bytes) override {
    library_->all_gather(send, receive, bytes);
  }
  void send(const void* data, std::size_t bytes, int peer) override { library_->send(data, bytes, peer); }
  void receive(void* data, std::size_t bytes, int peer) override { library_->receive(data, bytes, peer); }
  std::vector<CollectiveCall> take_calls() override { return library_->take_calls(); }

 private:
  std::unique_ptr<Transport> library_;
  Collective collective_;
  std::unique_ptr<PeerSum> sum_;
};

}  // namespace

std::unique_ptr<Transport> with_peer_sum(std::unique_ptr<Transport> library, Collective collective,
                                         std::unique_ptr<PeerSum> sum) {
  return std::make_unique<PeerTransport>(std::move(library), collective, std::move(sum));
}

void require_one_host(const Plan& plan, const std::vector<std::string>& machines,
                      const std::vector<std::string>& hosts) {
  if (plan.collective == Collective::library) return;
  const auto group = static_cast<std::size_t>(plan.tensor_parallel);
  for (std::size_t rank = 0; rank < machines.size(); ++rank) {
    const std::size_t first = rank / group * group;
    if (machines[rank] != machines[first])
      throw usage_error(
          "--collective {}: the ranks of a tensor-parallel group share memory, but rank {} is on {} and rank "
          "{} on "
          "{}: place them on one host, or use --collective library",
          name_of(plan.collective), first, hosts[first], rank, hosts[rank]);
  }
}

void together_in(const Communicator& ranks, const char* what, const std::function<void()>& step) {
  std::exception_ptr error;
  try {
    step();
  } catch (...) {
    error = std::current_exception();
  }
  int failed = error ? 1 : 0;
  {
    const progress::Waiting waiting(progress::On::ranks, what);
    MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, ranks.get());
  }
  if (error) std::rethrow_exception(error);
  if (failed != 0) throw failure("{}: another rank of the group failed", what);
}

}  // namespace shardrift
