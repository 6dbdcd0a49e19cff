// The CUDA device: one stream (and a few beside it where shards run at once), plain device memory, our
// kernels, matrix products of ours or ATen's.
#include <cuda_runtime_api.h>

#include <algorithm>

#include "common/progress.hpp"
#include "model/backend.hpp"
#include "model/cuda/check.hpp"
#include "model/cuda/cuda_device.hpp"
#include "model/cuda/kernels.hpp"
#include "model/cuda/linear.hpp"
#include "model/cuda/pinned_staging.hpp"
#include "model/cuda/products/fixed_product.hpp"
#include "model/cuda/products/grouped_product.hpp"
#include "model/cuda/queue.hpp"
#include "parallel/reduction/scalar_fold.hpp"

namespace shardrift {
namespace {

using cuda::check;

class CudaBackend final : public Backend {
 public:
  CudaBackend(bool tf32, Products products)
      : products_(products),
        main_(cuda::start_torch(tf32)),
        stream_(main_),
        branches_(main_),
        staging_(main_) {}
  cudaStream_t stream() const { return main_; }

  void* allocate(std::size_t bytes) override {
    void* data = nullptr;  // cudaMalloc aligns to 256 bytes at least
    const cudaError_t error = cudaMalloc(&data, bytes);
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      std::size_t free_bytes = 0;
      std::size_t total_bytes = 0;
      cudaMemGetInfo(&free_bytes, &total_bytes);
      throw failure(
          "out of GPU memory: {:.1f} MiB asked for, {:.1f} of {:.1f} MiB free: use more ranks or a narrower "
          "--dtype",
          static_cast<double>(bytes) / 0x1p20, static_cast<double>(free_bytes) / 0x1p20,
          static_cast<double>(total_bytes) / 0x1p20);
    }
    check(error, "cudaMalloc");
    check(cudaMemsetAsync(data, 0, bytes, stream_), "cudaMemset");
    return data;
  }
  void release(void* data) noexcept override { cudaFree(data); }
  // Pageable host memory is copied to a staging buffer before the call returns.
  void upload(void* device, const void* host, std::size_t bytes) override {
    check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_), "upload");
  }
  void write(void* device, std::size_t bytes, const std::function<void(std::byte*)>& fill) override {
    staging_.write(device, bytes, fill);
  }
  void download(void* host, const void* device, std::size_t bytes) override {
    const progress::Waiting waiting(progress::On::device, "a download");
    check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_), "download");
    synchronize();
  }
  void synchronize() override {
    const progress::Waiting waiting(progress::On::device, "a synchronization");
    check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
  }
  bool asynchronous() const override { return true; }
  void* allocate_host(std::size_t bytes) override {
    void* data = nullptr;
    const cudaError_t error = cudaMallocHost(&data, bytes);
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      throw failure("out of host memory that the GPU can reach: {:.1f} MiB asked for",
                    static_cast<double>(bytes) / 0x1p20);
    }
    check(error, "cudaMallocHost");
    return data;
  }
  void release_host(void* data) noexcept override { cudaFreeHost(data); }
  // From and to pinned memory: both return at once.
  void upload_later(void* device, const void* host, std::size_t bytes) override {
    check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_), "upload");
  }
  void download_later(void* host, const void* device, std::size_t bytes) override {
    check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_), "download");
  }
  std::unique_ptr<DeviceEvent> make_event() override { return cuda::make_event(stream_); }
  std::unique_ptr<CapturedWork> capture(const std::function<void()>& work) override {
    return cuda::capture(stream_, work);
  }
  void in_parallel(int count, const std::function<void(int)>& work) override {
    const int branches = std::min(count, cuda::Branches::kMost);
    if (branches < 2) return Backend::in_parallel(count, work);
    branches_.fork(branches, cuda::another_stream);
    {
      const MainAgain again{*this};
      for (int i = 0; i < count; ++i) {
        enqueue_on(branches_[i % branches]);
        work(i);
      }
    }
    branches_.join(branches);
  }
  void tell_progress() override {
    check(cudaLaunchHostFunc(
              stream_, [](void*) { progress::done(); }, nullptr),
          "cudaLaunchHostFunc");
  }
  double read_bandwidth() override;

  void embed(const Matrix& table, Range rows, const RowIndex& index, const Matrix& out) override {
    cuda::embed(table, rows, index, out, stream_);
    launched("embed");
  }
  void pick_rows(const void* gathered, std::size_t stride, const std::int32_t* owner, const RowIndex& index,
                 const Matrix& out) override {
    cuda::pick_rows(gathered, stride, owner, index, out, stream_);
    launched("pick_rows");
  }
  void rms_norm(const Matrix& x, const NormView& norm, const Matrix& out) override {
    cuda::rms_norm(x, norm, out, stream_);
    launched("rms_norm");
  }
  void add_and_norm(const Matrix& to, const Matrix& delta, const NormView& norm, const Matrix& out) override {
    cuda::add_and_norm(to, delta, norm, out, stream_);
    launched("add_and_norm");
  }
  void head_norm(const Matrix& m, Range heads, const NormView& norm) override {
    cuda::head_norm(m, heads, norm, stream_);
    launched("head_norm");
  }
  void linear(const Matrix& x, const Weight& weight, const Matrix& out) override {
    if (products_ == Products::fixed) return cuda::fixed_product(x, weight, out, decoded_, stream_);
    cuda::linear(x, weight, out);
  }
  bool multiplies_coded(DType dtype) const override {
    return products_ == Products::fixed && size_of(dtype) == 2;
  }
  std::size_t code(OwnedWeight& weight, WeightFormat format) override {
    return cuda::code_weight(*this, weight, format, stream_);
  }
  void rope_and_cache(const Matrix& qkv, std::int64_t query_heads, const RopeView& rope,
                      const RowIndex& index, const CacheView& cache) override {
    cuda::rope_and_cache(qkv, query_heads, rope, index, cache, stream_);
    launched("rope_and_cache");
  }
  void attention(const Matrix& qkv, const AttentionShape& shape, const RowIndex& index,
                 const CacheView& cache, const Matrix& out) override {
    if (cache.head_dim > 256)
      throw failure("head_dim {}: the CUDA attention kernel ends at 256", cache.head_dim);
    cuda::attention(qkv, shape, index, cache, out, stream_);
    launched("attention");
  }
  void rope_and_attention(const Matrix& qkv, const AttentionShape& shape, const RopeView& rope,
                          const RowIndex& index, const CacheView& cache, const Matrix& out) override {
    if (!cuda::rope_and_attention(qkv, shape, rope, index, cache, out, stream_))
      return Backend::rope_and_attention(qkv, shape, rope, index, cache, out);
    launched("rope_and_attention");
  }
  void activate(const Matrix& gate_up, Activation activation, double limit, const Matrix& out) override {
    cuda::activate(gate_up, activation, limit, out, stream_);
    launched("activate");
  }
  void route(const Matrix& logits, const ExpertsSpec& spec, bool given, std::int32_t* ids,
             void* weights) override {
    cuda::route(logits, spec, given, ids, weights, stream_);
    launched("route");
  }
  void linear_of_experts(const Matrix& x, const ExpertTable& table, const ExpertPairs& pairs,
                         const Matrix& out) override {
    cuda::grouped_product(x, table, pairs, out, stream_);
  }
  void combine_experts(const ExpertOutputs& outputs, const Matrix& out) override {
    cuda::combine_experts(outputs, out, stream_);
    launched("combine_experts");
  }
  void scale(const Matrix& m, double factor) override {
    cuda::scale(m, factor, stream_);
    launched("scale");
  }
  void divide_and_cap(const Matrix& m, double divisor, double softcap) override {
    cuda::divide_and_cap(m, divisor, softcap, stream_);
    launched("divide_and_cap");
  }
  void add(const Matrix& to, const Matrix& delta) override {
    cuda::add(to, delta, stream_);
    launched("add");
  }
  void fill_negative_zero(const Matrix& out) override {
    cuda::fill_negative_zero(out, stream_);
    launched("fill_negative_zero");
  }
  void fold(const void* partials, std::size_t stride, DType partial_dtype, const DeviceOrderMap& map,
            Accumulator accumulator, const Matrix& out) override {
    check_fold_shape(map, out);
    check_fold(partial_dtype, out.dtype, map.host(), accumulator);
    cuda::fold(partials, stride, partial_dtype, map, accumulator, out, stream_);
    launched("fold");
  }
  void choose(const Matrix& logits, std::int32_t* chosen) override {
    cuda::choose(logits, chosen, stream_);
    launched("choose");
  }
  void take_chosen(const std::int32_t* chosen, std::int64_t rows, std::int32_t* tokens) override {
    cuda::take_chosen(chosen, rows, tokens, stream_);
    launched("take_chosen");
  }
  void copy_columns(const Matrix& from, Range columns, const Matrix& to, std::int64_t at) override {
    cuda::copy_columns(from, columns, to, at, stream_);
    launched("copy_columns");
  }
  void join_columns(const ColumnSlices& slices, const Matrix& out) override {
    cuda::join_columns(slices, out, stream_);
    launched("join_columns");
  }
  void checksum(const Matrix& m, Range columns, std::int64_t index, std::uint64_t* sums,
                const std::int32_t* targets) override {
    if (m.rows == 0 || columns.empty()) return;
    cuda::checksum(m, columns, index, sums, targets, stream_);
    launched("checksum");
  }

 private:
  static void launched(const char* operation) { check(cudaGetLastError(), operation); }
  void enqueue_on(cudaStream_t stream) {
    stream_ = stream;
    cuda::set_product_stream(stream);
  }
  struct MainAgain {  // when it ends, also by an exception
    CudaBackend& of;
    ~MainAgain() { of.enqueue_on(of.main_); }
  };
  Products products_;
  cudaStream_t main_;
  cudaStream_t stream_;  // of the operations that are enqueued now
  cuda::Branches branches_;
  cuda::PinnedStaging staging_;
  cuda::DecodedWeights decoded_{*this};
};

// A device-to-device copy, bytes read plus bytes written.
double CudaBackend::read_bandwidth() {
  constexpr std::size_t kBytes = std::size_t{512} << 20;  // well past the L2 cache
  Buffer from(*this, kBytes);
  Buffer to(*this, kBytes);
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  check(cudaEventCreate(&begin), "cudaEventCreate");
  check(cudaEventCreate(&end), "cudaEventCreate");
  float best = 1e30F;
  for (int repeat = 0; repeat < 5; ++repeat) {
    check(cudaEventRecord(begin, stream_), "cudaEventRecord");
    check(cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice, stream_), "cudaMemcpy");
    check(cudaEventRecord(end, stream_), "cudaEventRecord");
    check(cudaEventSynchronize(end), "cudaEventSynchronize");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin, end), "cudaEventElapsedTime");
    best = std::min(best, milliseconds);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return 2.0 * static_cast<double>(kBytes) / (best * 1e-3);
}

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(bool tf32, Products products) {
  return std::make_unique<CudaBackend>(tf32, products);
}

void* cuda_stream(const Backend& backend) {
  return dynamic_cast<const CudaBackend&>(backend).stream();
}

}  // namespace shardrift
