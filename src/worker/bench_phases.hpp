// A device and a transport that leave out all operations but one phase's, so that the same pass, on the same
// weights, buffers and shapes, tells what each phase costs alone.
#pragma once
#include <array>
#include <optional>

#include "common/named_enum.hpp"
#include "model/backend.hpp"
#include "parallel/transport/transport.hpp"

namespace shardrift {

enum class BenchPhase { products, attention, other, collectives, stages };
constexpr auto names_of(BenchPhase) {
  return std::to_array<Named<BenchPhase>>({{BenchPhase::products, "products"},
                                           {BenchPhase::attention, "attention"},
                                           {BenchPhase::other, "other"},
                                           {BenchPhase::collectives, "collectives"},
                                           {BenchPhase::stages, "stages"}});
}

// The phase that is left in; nullopt: all.
using OnlyPhase = std::optional<BenchPhase>;

// Memory, copies, events and captures are the device's own, whatever is left out.
class PhaseBackend final : public Backend {
 public:
  PhaseBackend(Backend& device, const OnlyPhase& only) : device_(device), only_(only) {}

  void* allocate(std::size_t bytes) override { return device_.allocate(bytes); }
  void release(void* data) noexcept override { device_.release(data); }
  void upload(void* device, const void* host, std::size_t bytes) override {
    device_.upload(device, host, bytes);
  }
  void write(void* device, std::size_t bytes, const std::function<void(std::byte*)>& fill) override {
    device_.write(device, bytes, fill);
  }
  void download(void* host, const void* device, std::size_t bytes) override {
    device_.download(host, device, bytes);
  }
  void synchronize() override { device_.synchronize(); }
  void tell_progress() override { device_.tell_progress(); }
  double read_bandwidth() override { return device_.read_bandwidth(); }
  bool asynchronous() const override { return device_.asynchronous(); }
  void* allocate_host(std::size_t bytes) override { return device_.allocate_host(bytes); }
  void release_host(void* data) noexcept override { device_.release_host(data); }
  void upload_later(void* device, const void* host, std::size_t bytes) override {
    device_.upload_later(device, host, bytes);
  }
  void download_later(void* host, const void* device, std::size_t bytes) override {
    device_.download_later(host, device, bytes);
  }
  std::unique_ptr<DeviceEvent> make_event() override { return device_.make_event(); }
  std::unique_ptr<CapturedWork> capture(const std::function<void()>& work) override {
    return device_.capture(work);
  }
  void in_parallel(int count, const std::function<void(int)>& work) override {
    device_.in_parallel(count, work);
  }

  void linear(const Matrix& x, const Weight& weight, const Matrix& out) override {
    if (runs(BenchPhase::products)) device_.linear(x, weight, out);
  }
  void linear_of_experts(const Matrix& x, const ExpertTable& table, const ExpertPairs& pairs,
                         const Matrix& out) override {
    if (runs(BenchPhase::products)) device_.linear_of_experts(x, table, pairs, out);
  }
  bool multiplies_coded(DType dtype) const override { return device_.multiplies_coded(dtype); }
  std::size_t code(OwnedWeight& weight, WeightFormat format) override { return device_.code(weight, format); }
  void attention(const Matrix& qkv, const AttentionShape& shape, const RowIndex& index,
                 const CacheView& cache, const Matrix& out) override {
    if (runs(BenchPhase::attention)) device_.attention(qkv, shape, index, cache, out);
  }
  void rope_and_attention(const Matrix& qkv, const AttentionShape& shape, const RopeView& rope,
                          const RowIndex& index, const CacheView& cache, const Matrix& out) override {
    if (runs(BenchPhase::attention)) device_.rope_and_attention(qkv, shape, rope, index, cache, out);
  }

  void embed(const Matrix& table, Range rows, const RowIndex& index, const Matrix& out) override {
    if (others()) device_.embed(table, rows, index, out);
  }
  void pick_rows(const void* gathered, std::size_t stride, const std::int32_t* owner, const RowIndex& index,
                 const Matrix& out) override {
    if (others()) device_.pick_rows(gathered, stride, owner, index, out);
  }
  void rms_norm(const Matrix& x, const NormView& norm, const Matrix& out) override {
    if (others()) device_.rms_norm(x, norm, out);
  }
  void add_and_norm(const Matrix& to, const Matrix& delta, const NormView& norm, const Matrix& out) override {
    if (others()) device_.add_and_norm(to, delta, norm, out);
  }
  void head_norm(const Matrix& m, Range heads, const NormView& norm) override {
    if (others()) device_.head_norm(m, heads, norm);
  }
  void rope_and_cache(const Matrix& qkv, std::int64_t query_heads, const RopeView& rope,
                      const RowIndex& index, const CacheView& cache) override {
    if (others()) device_.rope_and_cache(qkv, query_heads, rope, index, cache);
  }
  void activate(const Matrix& gate_up, Activation activation, double limit, const Matrix& out) override {
    if (others()) device_.activate(gate_up, activation, limit, out);
  }
  void route(const Matrix& logits, const ExpertsSpec& spec, bool given, std::int32_t* ids,
             void* weights) override {
    if (others()) device_.route(logits, spec, given, ids, weights);
  }
  void combine_experts(const ExpertOutputs& outputs, const Matrix& out) override {
    if (others()) device_.combine_experts(outputs, out);
  }
  void scale(const Matrix& m, double factor) override {
    if (others()) device_.scale(m, factor);
  }
  void divide_and_cap(const Matrix& m, double divisor, double softcap) override {
    if (others()) device_.divide_and_cap(m, divisor, softcap);
  }
  void add(const Matrix& to, const Matrix& delta) override {
    if (others()) device_.add(to, delta);
  }
  void fill_negative_zero(const Matrix& out) override {
    if (others()) device_.fill_negative_zero(out);
  }
  void fold(const void* partials, std::size_t stride, DType partial_dtype, const DeviceOrderMap& map,
            Accumulator accumulator, const Matrix& out) override {
    if (others()) device_.fold(partials, stride, partial_dtype, map, accumulator, out);
  }
  void choose(const Matrix& logits, std::int32_t* chosen) override {
    if (others()) device_.choose(logits, chosen);
  }
  void take_chosen(const std::int32_t* chosen, std::int64_t rows, std::int32_t* tokens) override {
    if (others()) device_.take_chosen(chosen, rows, tokens);
  }
  void copy_columns(const Matrix& from, Range columns, const Matrix& to, std::int64_t at) override {
    if (others()) device_.copy_columns(from, columns, to, at);
  }
  void join_columns(const ColumnSlices& slices, const Matrix& out) override {
    if (others()) device_.join_columns(slices, out);
  }
  void checksum(const Matrix& m, Range columns, std::int64_t index, std::uint64_t* sums,
                const std::int32_t* targets) override {
    if (others()) device_.checksum(m, columns, index, sums, targets);
  }

 private:
  bool runs(BenchPhase phase) const;
  bool others() const { return runs(BenchPhase::other); }
  Backend& device_;
  const OnlyPhase& only_;
};

// Of the ranks of one stage (collectives), or of the stages (stages): `phase` says which.
class PhaseTransport final : public Transport {
 public:
  PhaseTransport(Transport& group, BenchPhase phase, const OnlyPhase& only)
      : group_(group), phase_(phase), only_(only) {}
  std::string_view name() const override { return group_.name(); }
  int rank() const override { return group_.rank(); }
  int size() const override { return group_.size(); }
  void all_reduce(void* data, std::int64_t count, DType dtype) override {
    if (runs()) group_.all_reduce(data, count, dtype);
  }
  void reduce_scatter(const void* send, void* receive, std::int64_t count, DType dtype) override {
    if (runs()) group_.reduce_scatter(send, receive, count, dtype);
  }
  void all_gather(const void* send, void* receive, std::size_t bytes) override {
    if (runs()) group_.all_gather(send, receive, bytes);
  }
  void send(const void* data, std::size_t bytes, int peer) override {
    if (runs()) group_.send(data, bytes, peer);
  }
  void receive(void* data, std::size_t bytes, int peer) override {
    if (runs()) group_.receive(data, bytes, peer);
  }
  std::vector<CollectiveCall> take_calls() override { return group_.take_calls(); }

 private:
  bool runs() const;
  Transport& group_;
  BenchPhase phase_;
  const OnlyPhase& only_;
};

}  // namespace shardrift
