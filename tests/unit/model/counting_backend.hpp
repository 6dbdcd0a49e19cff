// The CPU device, counting what it is asked for.
#pragma once
#include <memory>

#include "model/backend.hpp"

namespace shardrift {

class CountingBackend : public Backend {
 public:
  explicit CountingBackend(Products products = Products::library) : device_(make_cpu_backend(1, products)) {}

  int allocations = 0, transfers = 0, waits = 0;
  std::size_t allocated = 0;  // bytes so far
  int captures = 0, replays = 0;

  // Work that is run when it is launched, as a device would.
  std::unique_ptr<CapturedWork> capture(const std::function<void()>& work) override {
    struct Again final : CapturedWork {
      std::function<void()> work;
      int* replays = nullptr;
      void launch() override { ++*replays, work(); }
    };
    ++captures;
    auto again = std::make_unique<Again>();
    again->work = work;
    again->replays = &replays;
    return again;
  }

  void* allocate(std::size_t count) override {
    ++allocations;
    allocated += count;
    return device_->allocate(count);
  }
  void release(void* data) noexcept override { device_->release(data); }
  void upload(void* device, const void* host, std::size_t bytes) override {
    ++transfers;
    device_->upload(device, host, bytes);
  }
  void write(void* device, std::size_t bytes, const std::function<void(std::byte*)>& fill) override {
    ++transfers;
    device_->write(device, bytes, fill);
  }
  void download(void* host, const void* device, std::size_t bytes) override {
    ++transfers;
    device_->download(host, device, bytes);
  }
  void synchronize() override { ++waits, device_->synchronize(); }
  double read_bandwidth() override { return device_->read_bandwidth(); }
  void embed(const Matrix& table, Range rows, const RowIndex& index, const Matrix& out) override {
    device_->embed(table, rows, index, out);
  }
  void pick_rows(const void* gathered, std::size_t stride, const std::int32_t* owner, const RowIndex& index,
                 const Matrix& out) override {
    device_->pick_rows(gathered, stride, owner, index, out);
  }
  void rms_norm(const Matrix& x, const NormView& norm, const Matrix& out) override {
    device_->rms_norm(x, norm, out);
  }
  void head_norm(const Matrix& m, Range heads, const NormView& norm) override {
    device_->head_norm(m, heads, norm);
  }
  void linear(const Matrix& x, const Weight& weight, const Matrix& out) override {
    device_->linear(x, weight, out);
  }
  void rope_and_cache(const Matrix& qkv, std::int64_t query_heads, const RopeView& rope,
                      const RowIndex& index, const CacheView& cache) override {
    device_->rope_and_cache(qkv, query_heads, rope, index, cache);
  }
  void attention(const Matrix& qkv, const AttentionShape& shape, const RowIndex& index,
                 const CacheView& cache, const Matrix& out) override {
    device_->attention(qkv, shape, index, cache, out);
  }
  void route(const Matrix& logits, const ExpertsSpec& spec, bool given, std::int32_t* ids,
             void* weights) override {
    device_->route(logits, spec, given, ids, weights);
  }
  void linear_of_experts(const Matrix& x, const ExpertTable& table, const ExpertPairs& pairs,
                         const Matrix& out) override {
    device_->linear_of_experts(x, table, pairs, out);
  }
  void combine_experts(const ExpertOutputs& outputs, const Matrix& out) override {
    device_->combine_experts(outputs, out);
  }
  void activate(const Matrix& gate_up, Activation activation, double limit, const Matrix& out) override {
    device_->activate(gate_up, activation, limit, out);
  }
  void scale(const Matrix& m, double factor) override { device_->scale(m, factor); }
  void divide_and_cap(const Matrix& m, double divisor, double softcap) override {
    device_->divide_and_cap(m, divisor, softcap);
  }
  void copy_columns(const Matrix& from, Range columns, const Matrix& to, std::int64_t at) override {
    device_->copy_columns(from, columns, to, at);
  }
  void add(const Matrix& to, const Matrix& delta) override { device_->add(to, delta); }
  void fill_negative_zero(const Matrix& out) override { device_->fill_negative_zero(out); }
  void fold(const void* partials, std::size_t stride, DType partial_dtype, const DeviceOrderMap& map,
            Accumulator accumulator, const Matrix& out) override {
    device_->fold(partials, stride, partial_dtype, map, accumulator, out);
  }
  void join_columns(const ColumnSlices& slices, const Matrix& out) override {
    device_->join_columns(slices, out);
  }
  void choose(const Matrix& logits, std::int32_t* chosen) override { device_->choose(logits, chosen); }
  void take_chosen(const std::int32_t* chosen, std::int64_t rows, std::int32_t* tokens) override {
    device_->take_chosen(chosen, rows, tokens);
  }
  void checksum(const Matrix& m, Range columns, std::int64_t index, std::uint64_t* sums,
                const std::int32_t* targets) override {
    device_->checksum(m, columns, index, sums, targets);
  }

 private:
  std::unique_ptr<Backend> device_;
};

}  // namespace shardrift
