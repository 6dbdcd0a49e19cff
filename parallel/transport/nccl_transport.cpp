#include "parallel/transport/nccl_transport.hpp"

#include <nccl.h>

#include <optional>

#include "common/error.hpp"
#include "common/progress.hpp"
#include "parallel/transport/nccl_observer.hpp"
#include "parallel/transport/watchdog.hpp"

namespace shardrift {
namespace {

void check(ncclResult_t result, const char* what, ncclComm_t comm = nullptr) {
  if (result == ncclSuccess) return;
  throw failure("{}: {} ({})", what, ncclGetErrorString(result), ncclGetLastError(comm));
}

std::string asynchronous_error(ncclComm_t comm) {
  ncclResult_t error = ncclSuccess;
  if (ncclCommGetAsyncError(comm, &error) != ncclSuccess || error == ncclSuccess || error == ncclInProgress)
    return "";
  return fmt::format("NCCL: {} ({})", ncclGetErrorString(error), ncclGetLastError(comm));
}

ncclDataType_t type_of(DType dtype) {
  switch (storage_of(dtype)) {
    case DType::float64:
      return ncclFloat64;
    case DType::float16:
      return ncclFloat16;
    case DType::bfloat16:
      return ncclBfloat16;
    default:
      return ncclFloat32;
  }
}

class NcclTransport final : public Transport {
 public:
  NcclTransport(const Communicator& communicator, cudaStream_t stream)
      : rank_(communicator.rank()), size_(communicator.size()), stream_(stream) {
    start_nccl_observer();
    ncclUniqueId id{};
    if (rank_ == 0) check(ncclGetUniqueId(&id), "ncclGetUniqueId");
    MPI_Bcast(&id, sizeof id, MPI_BYTE, 0, communicator.get());
    {
      const progress::Waiting waiting(progress::On::ranks, "ncclCommInitRank");
      check(ncclCommInitRank(&comm_, size_, id, rank_), "ncclCommInitRank");
    }
    // An error of a peer or of the network comes to nobody who waits on the stream.
    polled_.emplace([comm = comm_] { return asynchronous_error(comm); },
                    [comm = comm_] { ncclCommAbort(comm); });
  }
  NcclTransport(const NcclTransport&) = delete;
  NcclTransport& operator=(const NcclTransport&) = delete;
  ~NcclTransport() override {
    polled_.reset();
    if (comm_ != nullptr) ncclCommDestroy(comm_);
  }
  std::string_view name() const override { return "nccl"; }
  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void all_reduce(void* data, std::int64_t count, DType dtype) override {
    check(ncclAllReduce(data, data, static_cast<std::size_t>(count), type_of(dtype), ncclSum, comm_, stream_),
          "ncclAllReduce", comm_);
  }
  void reduce_scatter(const void* send, void* receive, std::int64_t count, DType dtype) override {
    check(ncclReduceScatter(send, receive, static_cast<std::size_t>(count), type_of(dtype), ncclSum, comm_,
                            stream_),
          "ncclReduceScatter", comm_);
  }
  void all_gather(const void* send, void* receive, std::size_t bytes) override {
    check(ncclAllGather(send, receive, bytes, ncclInt8, comm_, stream_), "ncclAllGather", comm_);
  }
  void send(const void* data, std::size_t bytes, int peer) override {
    check(ncclSend(data, bytes, ncclInt8, peer, comm_, stream_), "ncclSend", comm_);
  }
  void receive(void* data, std::size_t bytes, int peer) override {
    check(ncclRecv(data, bytes, ncclInt8, peer, comm_, stream_), "ncclRecv", comm_);
  }

  std::vector<CollectiveCall> take_calls() override { return take_nccl_calls(); }

 private:
  int rank_;
  int size_;
  cudaStream_t stream_;
  ncclComm_t comm_ = nullptr;
  std::optional<Polled> polled_;
};

}  // namespace

std::unique_ptr<Transport> make_nccl_transport(const Communicator& communicator, cudaStream_t stream) {
  return std::make_unique<NcclTransport>(communicator, stream);
}

std::string nccl_version() {
  int version = 0;
  check(ncclGetVersion(&version), "ncclGetVersion");
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace shardrift
