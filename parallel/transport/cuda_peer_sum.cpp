#include "parallel/transport/cuda_peer_sum.hpp"

#include <array>
#include <cstdint>
#include <exception>

#include "common/error.hpp"
#include "common/progress.hpp"
#include "parallel/transport/cuda_peer_kernel.hpp"

namespace shardrift {
namespace {

constexpr const char* kWhat = "sharing device memory";

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw failure("{}: {}", what, cudaGetErrorString(error));
}

class CudaPeerSum final : public PeerSum {
 public:
  CudaPeerSum(const Communicator& ranks, Collective collective, std::size_t capacity, cudaStream_t stream)
      : ranks_(ranks), collective_(collective), capacity_(capacity), stream_(stream) {
    peers_.rank = ranks.rank();
    peers_.ranks = ranks.size();
    constexpr std::size_t kAlign = 256;
    peers_.stride = (capacity + kAlign - 1) / kAlign * kAlign;
    cudaIpcMemHandle_t mine{};
    together_in(ranks, kWhat, [&] {
      if (peers_.ranks > kMostCudaPeers)
        throw usage_error("--collective {} over {} GPUs: at most {}", name_of(collective), peers_.ranks,
                          kMostCudaPeers);
      const std::size_t bytes = cuda_peer_bytes(peers_.stride);
      void* memory = nullptr;
      check(cudaMalloc(&memory, bytes), "cudaMalloc");
      own() = static_cast<std::byte*>(memory);
      check(cudaMemset(memory, 0, bytes), "cudaMemset");
      check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
      check(cudaIpcGetMemHandle(&mine, memory), "cudaIpcGetMemHandle");
    });
    std::array<cudaIpcMemHandle_t, kMostCudaPeers> handles{};
    {
      const progress::Waiting waiting(progress::On::ranks, kWhat);
      MPI_Allgather(&mine, sizeof mine, MPI_BYTE, handles.data(), sizeof mine, MPI_BYTE, ranks.get());
    }
    together_in(ranks, kWhat, [&] {
      for (int rank = 0; rank < peers_.ranks; ++rank) {
        if (rank == peers_.rank) continue;
        void* memory = nullptr;
        const auto error = cudaIpcOpenMemHandle(&memory, handles[static_cast<std::size_t>(rank)],
                                                cudaIpcMemLazyEnablePeerAccess);
        if (error != cudaSuccess)
          throw failure(
              "the device memory of rank {} of the group cannot be mapped ({}): use --collective library",
              rank, cudaGetErrorString(error));
        peers_.memory[rank] = static_cast<std::byte*>(memory);
      }
    });
  }
  CudaPeerSum(const CudaPeerSum&) = delete;
  CudaPeerSum& operator=(const CudaPeerSum&) = delete;
  // No kernel may read memory that is gone: all are done, then all let go. Where an error ends the run, the
  // others may not come here: the end of the process frees it.
  ~CudaPeerSum() override {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (std::uncaught_exceptions() > 0 || finalized != 0) return;
    cudaStreamSynchronize(stream_);
    for (int rank = 0; rank < peers_.ranks; ++rank)
      if (rank != peers_.rank) cudaIpcCloseMemHandle(peers_.memory[rank]);
    ranks_.barrier();
    cudaFree(own());
  }

  void all_reduce(void* data, std::int64_t count, DType dtype) override {
    const std::size_t bytes = static_cast<std::size_t>(count) * size_of(dtype);
    if (bytes > capacity_)
      throw failure("a {} all-reduce of {} bytes: it was made for {} at most", name_of(collective_), bytes,
                    capacity_);
    if (reinterpret_cast<std::uintptr_t>(data) % 16 != 0)
      throw failure("a {} all-reduce of a message that is not aligned to 16 bytes: this is a bug",
                    name_of(collective_));
    if (count > 0)
      check(launch_peer_sum(peers_, collective_, data, count, dtype, stream_), "our own all-reduce");
  }

 private:
  std::byte*& own() { return peers_.memory[peers_.rank]; }
  const Communicator& ranks_;
  Collective collective_;
  std::size_t capacity_;
  cudaStream_t stream_;
  CudaPeers peers_;
};

}  // namespace

std::unique_ptr<PeerSum> make_cuda_peer_sum(const Communicator& ranks, Collective collective,
                                            std::size_t capacity, cudaStream_t stream) {
  return std::make_unique<CudaPeerSum>(ranks, collective, capacity, stream);
}

std::string cuda_bus_id() {
  int device = 0;
  std::array<char, 32> text{};
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetPCIBusId(text.data(), static_cast<int>(text.size()), device), "cudaDeviceGetPCIBusId");
  return text.data();
}

void require_cuda_peer_access(Collective collective, const std::vector<std::string>& bus_ids) {
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  for (const auto& bus_id : bus_ids) {
    int peer = device;
    if (cudaDeviceGetByPCIBusId(&peer, bus_id.c_str()) != cudaSuccess) {
      static_cast<void>(cudaGetLastError());  // not visible here
      continue;
    }
    int reaches = 1;
    if (peer != device) check(cudaDeviceCanAccessPeer(&reaches, device, peer), "cudaDeviceCanAccessPeer");
    if (reaches == 0)
      throw usage_error(
          "--collective {}: GPU {} cannot read the memory of GPU {} (no NVLink or peer access between them): "
          "use "
          "--collective library",
          name_of(collective), cuda_bus_id(), bus_id);
  }
}

}  // namespace shardrift
