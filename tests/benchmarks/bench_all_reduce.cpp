// mpirun -np N bench_all_reduce DEVICE DTYPE COUNT ROUNDS: microseconds of one all-reduce of COUNT elements,
// the library's and our own in turns, the slowest rank's; the median, least and most of the rounds. DEVICE:
// cpu, or cuda (a GPU a rank), where 64 calls are captured in a CUDA graph as a decode pass has them.
// (docs/results/all-reduce.md)
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "common/text.hpp"
#include "parallel/transport/peer_transport.hpp"
#ifdef SHARDRIFT_HAVE_CUDA
#include "parallel/transport/cuda_peer_sum.hpp"
#include "parallel/transport/nccl_transport.hpp"
#endif

namespace shardrift {
namespace {

using Clock = std::chrono::steady_clock;

// What is timed: a message that stays zero, so that no sum ever overflows.
struct Message {
  DType dtype;
  std::int64_t count;
  std::size_t bytes() const { return static_cast<std::size_t>(count) * size_of(dtype); }
};

struct Candidate {
  std::string name;
  std::unique_ptr<Transport> transport;
  std::function<double()> microseconds;  // of one call, in the mean of many
  std::vector<double> rounds;
};

double mean_of(int calls, const std::function<void()>& all_of_them) {
  const auto begin = Clock::now();
  all_of_them();
  return std::chrono::duration<double>(Clock::now() - begin).count() * 1e6 / calls;
}

std::vector<Candidate> on_cpu(const Communicator& ranks, const Message& message) {
  std::vector<Candidate> candidates;
  candidates.push_back({"library", make_mpi_transport(ranks), {}, {}});
  for (const auto collective : {Collective::one_shot, Collective::two_shot})
    candidates.push_back({std::string(name_of(collective)),
                          with_peer_sum(make_mpi_transport(ranks), collective,
                                        make_shared_memory_sum(ranks, collective, message.bytes())),
                          {},
                          {}});
  const int calls = message.bytes() > (1U << 20U) ? 10 : 2000;
  for (auto& one : candidates)
    one.microseconds = [transport = one.transport.get(), message, calls,
                        data = std::make_shared<std::vector<std::byte>>(message.bytes())] {
      return mean_of(calls, [&] {
        for (int call = 0; call < calls; ++call)
          transport->all_reduce(data->data(), message.count, message.dtype);
      });
    };
  return candidates;
}

#ifdef SHARDRIFT_HAVE_CUDA
void check(cudaError_t error) {
  if (error != cudaSuccess) throw failure("CUDA: {}", cudaGetErrorString(error));
}

std::vector<Candidate> on_cuda(const Communicator& ranks, const Message& message) {
  check(cudaSetDevice(ranks.rank()));
  cudaStream_t stream = nullptr;
  check(cudaStreamCreate(&stream));
  void* data = nullptr;
  check(cudaMalloc(&data, message.bytes()));
  check(cudaMemset(data, 0, message.bytes()));
  std::vector<Candidate> candidates;
  candidates.push_back({"library", make_nccl_transport(ranks, stream), {}, {}});
  for (const auto collective : {Collective::one_shot, Collective::two_shot})
    candidates.push_back({std::string(name_of(collective)),
                          with_peer_sum(make_nccl_transport(ranks, stream), collective,
                                        make_cuda_peer_sum(ranks, collective, message.bytes(), stream)),
                          {},
                          {}});
  constexpr int kCaptured = 64;
  constexpr int kReplays = 50;
  for (auto& one : candidates) {
    one.transport->all_reduce(data, message.count,
                              message.dtype);  // what a library sets up at its first call
    check(cudaStreamSynchronize(stream));
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t ready = nullptr;
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    for (int call = 0; call < kCaptured; ++call)
      one.transport->all_reduce(data, message.count, message.dtype);
    check(cudaStreamEndCapture(stream, &graph));
    check(cudaGraphInstantiate(&ready, graph, 0));
    one.microseconds = [=] {
      return mean_of(kCaptured * kReplays, [&] {
        for (int replay = 0; replay < kReplays; ++replay) check(cudaGraphLaunch(ready, stream));
        check(cudaStreamSynchronize(stream));
      });
    };
  }
  return candidates;
}
#endif

void run(int argc, char** argv, const World& world) {
  if (argc != 5 || world.size() < 2)
    throw usage_error("mpirun -np N bench_all_reduce cpu|cuda DTYPE COUNT ROUNDS, N at least 2");
  const auto number = [](const char* text) {
    const auto value = number_from<std::int64_t>(text);
    if (!value || *value < 1) throw usage_error("{}: a number from 1 is expected", text);
    return *value;
  };
  const Message message{named<DType>("DTYPE", argv[2]), number(argv[3])};
  const auto rounds = number(argv[4]);
  const Communicator ranks = world.split(0, world.rank());
  std::vector<Candidate> candidates;
  if (named<Device>("DEVICE", argv[1]) == Device::cpu) {
    candidates = on_cpu(ranks, message);
  } else {
#ifdef SHARDRIFT_HAVE_CUDA
    candidates = on_cuda(ranks, message);
#else
    throw usage_error("cuda: this program was built without CUDA");
#endif
  }
  for (std::int64_t round = -1; round < rounds; ++round)  // one to warm up
    for (auto& one : candidates) {
      world.barrier();
      const double slowest = world.maximum(one.microseconds());
      if (round >= 0) one.rounds.push_back(slowest);
    }
  if (world.rank() != 0) return;
  for (auto& one : candidates) {
    std::sort(one.rounds.begin(), one.rounds.end());
    std::printf("%d ranks, %zu bytes of %s, %s: %.2f us (%.2f to %.2f)\n", world.size(), message.bytes(),
                argv[2], one.name.c_str(), one.rounds[one.rounds.size() / 2], one.rounds.front(),
                one.rounds.back());
  }
}

}  // namespace
}  // namespace shardrift

int main(int argc, char** argv) {
  const shardrift::World world(argc, argv);
  try {
    shardrift::run(argc, argv, world);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_all_reduce: %s\n", error.what());
    world.abort(1);
  }
  return 0;
}
