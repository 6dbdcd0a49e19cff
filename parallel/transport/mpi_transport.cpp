// MPI over host memory: the CPU path.
#include <algorithm>

#include "common/error.hpp"
#include "common/progress.hpp"
#include "parallel/reduction/narrow_sum.hpp"
#include "parallel/transport/mpi_world.hpp"

namespace shardrift {
namespace {

// MPI has no 16-bit floats. A user operation must be declared commutative, or OpenMPI picks other algorithms
// (and another order) than it does for its own MPI_SUM.
void sum_float16(void* in, void* inout, int* length, MPI_Datatype*) {
  add_float16(static_cast<const std::uint16_t*>(in), static_cast<std::uint16_t*>(inout), *length);
}
void sum_bfloat16(void* in, void* inout, int* length, MPI_Datatype*) {
  add_bfloat16(static_cast<const std::uint16_t*>(in), static_cast<std::uint16_t*>(inout), *length);
}

class MpiTransport final : public Transport {
 public:
  explicit MpiTransport(MPI_Comm comm) : comm_(comm) {
    MPI_Comm_rank(comm_, &rank_);
    MPI_Comm_size(comm_, &size_);
    MPI_Op_create(sum_float16, 1, &float16_sum_);
    MPI_Op_create(sum_bfloat16, 1, &bfloat16_sum_);
  }
  MpiTransport(const MpiTransport&) = delete;
  MpiTransport& operator=(const MpiTransport&) = delete;
  ~MpiTransport() override {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (finalized != 0) return;
    MPI_Op_free(&float16_sum_);
    MPI_Op_free(&bfloat16_sum_);
  }
  std::string_view name() const override { return "mpi"; }
  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void all_reduce(void* data, std::int64_t count, DType dtype) override {
    // One call: splitting a message would change its order map.
    const auto [type, op] = sum_of(dtype);
    const progress::Waiting waiting(progress::On::ranks, "an all-reduce");
    MPI_Allreduce(MPI_IN_PLACE, data, checked_count("all-reduce", count), type, op, comm_);
  }

  void reduce_scatter(const void* send, void* receive, std::int64_t count, DType dtype) override {
    const auto [type, op] = sum_of(dtype);
    checked_count("reduce-scatter", count * size_);
    const progress::Waiting waiting(progress::On::ranks, "a reduce-scatter");
    MPI_Reduce_scatter_block(send, receive, static_cast<int>(count), type, op, comm_);
  }

  void all_gather(const void* send, void* receive, std::size_t bytes) override {
    if (bytes * static_cast<std::size_t>(size_) > INT32_MAX)
      throw failure("an all-gather of {} x {} bytes: MPI counts end at {}", size_, bytes, INT32_MAX);
    const progress::Waiting waiting(progress::On::ranks, "an all-gather");
    MPI_Allgather(send, static_cast<int>(bytes), MPI_BYTE, receive, static_cast<int>(bytes), MPI_BYTE, comm_);
  }

  void send(const void* data, std::size_t bytes, int peer) override {
    const progress::Waiting waiting(progress::On::ranks, "a send");
    MPI_Send(data, checked(bytes), MPI_BYTE, peer, 0, comm_);
  }
  void receive(void* data, std::size_t bytes, int peer) override {
    const progress::Waiting waiting(progress::On::ranks, "a receive");
    MPI_Recv(data, checked(bytes), MPI_BYTE, peer, 0, comm_, MPI_STATUS_IGNORE);
  }

 private:
  struct Sum {
    MPI_Datatype type;
    MPI_Op op;
  };
  Sum sum_of(DType dtype) const {
    switch (storage_of(dtype)) {
      case DType::float64:
        return {MPI_DOUBLE, MPI_SUM};
      case DType::float16:
        return {MPI_UINT16_T, float16_sum_};
      case DType::bfloat16:
        return {MPI_UINT16_T, bfloat16_sum_};
      default:
        return {MPI_FLOAT, MPI_SUM};
    }
  }
  static int checked_count(const char* what, std::int64_t count) {
    if (count > INT32_MAX) throw failure("a {} of {} elements: MPI counts end at {}", what, count, INT32_MAX);
    return static_cast<int>(count);
  }
  static int checked(std::size_t bytes) {
    if (bytes > INT32_MAX) throw failure("a message of {} bytes: MPI counts end at {}", bytes, INT32_MAX);
    return static_cast<int>(bytes);
  }
  MPI_Comm comm_;
  int rank_ = 0;
  int size_ = 1;
  MPI_Op float16_sum_ = MPI_OP_NULL;
  MPI_Op bfloat16_sum_ = MPI_OP_NULL;
};

}  // namespace

std::unique_ptr<Transport> make_mpi_transport(const Communicator& communicator) {
  return std::make_unique<MpiTransport>(communicator.get());
}

}  // namespace shardrift
