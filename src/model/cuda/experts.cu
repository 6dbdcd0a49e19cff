// A mixture's routing, and the weighted sum of a row's experts. A warp computes a row's routes, a thread an
// element of the sum, in the order of model/routing.hpp.
#include "model/cuda/dependent_launch.hpp"
#include "model/cuda/kernels.hpp"
#include "model/cuda/warp.hpp"
#include "model/routing.hpp"

namespace shardrift::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;

unsigned blocks_for(std::int64_t count) {
  return static_cast<unsigned>((count + kThreads - 1) / kThreads);
}

// term(0) + term(1) + …, one after the other; each is one lane's to compute.
template <typename C, typename F>
__device__ C sum_in_order(int count, const F& term) {
  const int lane = static_cast<int>(threadIdx.x);
  C sum = 0;
  for (int begin = 0; begin < count; begin += kWarp) {
    const C own = begin + lane < count ? term(begin + lane) : C(0);
    const int end = count - begin < kWarp ? count - begin : kWarp;
    for (int i = 0; i < end; ++i) sum += __shfl_sync(kWholeWarp, own, i);
  }
  return sum;
}

// The largest of value(i), the lowest i at ties, of those that are `wanted`; i < 0: none is.
template <typename C>
struct Best {
  C value = 0;
  int at = -1;
};
template <typename C, typename F, typename W>
__device__ Best<C> best_of(int count, const F& value, const W& wanted) {
  Best<C> best;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kWarp) {
    const C here = value(i);
    if (wanted(here, i) && (best.at < 0 || here > best.value)) best = {here, i};
  }
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const C value_there = __shfl_xor_sync(kWholeWarp, best.value, distance);
    const int there = __shfl_xor_sync(kWholeWarp, best.at, distance);
    const bool better =
        best.at < 0 || value_there > best.value || (value_there == best.value && there < best.at);
    if (there >= 0 && better) best = {value_there, there};
  }
  return best;
}

// The experts of a row into ids, ascending. logits: as they are ranked.
template <typename C, typename F>
__device__ void choose_experts(int count, int active, const F& logit, std::int32_t* ids) {
  // The last of them in the order of (logit descending, id); the others come before it.
  Best<C> last{static_cast<C>(INFINITY), -1};
  for (int n = 0; n < active; ++n)
    last = best_of<C>(count, logit, [&](C value, int e) {
      return value < last.value || (value == last.value && e > last.at);
    });
  int found = 0;
  for (int begin = 0; begin < count; begin += kWarp) {
    const int e = begin + static_cast<int>(threadIdx.x);
    const C value = e < count ? logit(e) : C(0);
    const bool chosen = e < count && (value > last.value || (value == last.value && e <= last.at));
    const unsigned all = __ballot_sync(kWholeWarp, chosen);
    if (chosen) ids[found + __popc(all & ((1U << threadIdx.x) - 1))] = e;
    found += __popc(all);
  }
}

template <typename T>
__global__ void __launch_bounds__(kWarp) route_kernel(const T* all_logits, ExpertsSpec spec, bool given,
                                                      std::int32_t* all_ids, Compute<T>* all_weights) {
  using C = Compute<T>;
  const auto row = static_cast<std::int64_t>(blockIdx.x);
  const T* logits = all_logits + row * spec.count;
  std::int32_t* ids = all_ids + row * spec.active;
  C* weights = all_weights + row * spec.active;
  const auto count = static_cast<int>(spec.count);
  const auto active = static_cast<int>(spec.active);
  const auto any = [](C, int) { return true; };
  const auto ranked = [&](int e) { return rank_value(static_cast<C>(logits[e])); };
  const auto of_chosen = [&](int n) { return static_cast<C>(logits[ids[n]]); };
  wait_for_previous();
  let_next_start();
  if (!given) choose_experts<C>(count, active, ranked, ids);
  __syncwarp();  // ids are read by other lanes

  const auto softmax_of_chosen = [&] {
    const C top = best_of<C>(active, of_chosen, any).value;
    const C sum = sum_in_order<C>(active, [&](int n) { return exp(of_chosen(n) - top); });
    for (int n = static_cast<int>(threadIdx.x); n < active; n += kWarp)
      weights[n] = exp(of_chosen(n) - top) / sum;
  };
  if (spec.weights == RouteWeights::softmax_of_chosen) return softmax_of_chosen();
  const C top = best_of<C>(count, ranked, any).value;
  const C sum = sum_in_order<C>(count, [&](int e) { return exp(static_cast<C>(logits[e]) - top); });
  const auto weight = [&](int n) { return exp(of_chosen(n) - top) / sum; };
  const bool divides = spec.weights == RouteWeights::softmax_renormalized;
  const C chosen = divides ? sum_in_order<C>(active, weight) : C(1);
  if (!(chosen > 0)) return softmax_of_chosen();  // see route_row
  for (int n = static_cast<int>(threadIdx.x); n < active; n += kWarp)
    weights[n] = divides ? weight(n) / chosen : weight(n);
}

template <typename P, typename T>
__global__ void combine_kernel(ExpertOutputs outputs, std::int64_t cols, std::int64_t count, P* out) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  wait_for_previous();
  let_next_start();
  if (i >= count) return;
  const std::int64_t row = i / cols;
  out[i] = combined_element<P, T>(outputs, static_cast<const Compute<P>*>(outputs.weights), row, cols,
                                  i - row * cols);
}

}  // namespace

void route(const Matrix& logits, const ExpertsSpec& spec, bool given, std::int32_t* ids, void* weights,
           cudaStream_t stream) {
  visit_dtype(logits.dtype, [&]<typename T>() {
    launch_dependent(route_kernel<T>, static_cast<unsigned>(logits.rows), kWarp, 0, stream,
                     static_cast<const T*>(logits.data), spec, given, ids, static_cast<Compute<T>*>(weights));
  });
}

void combine_experts(const ExpertOutputs& outputs, const Matrix& out, cudaStream_t stream) {
  visit_dtype(out.dtype, [&]<typename P>() {
    visit_dtype(outputs.bias.dtype, [&]<typename T>() {
      if constexpr (can_be_partial<P, T>)
        launch_dependent(combine_kernel<P, T>, blocks_for(out.count()), kThreads, 0, stream, outputs,
                         out.cols, out.count(), static_cast<P*>(out.data));
    });
  });
}

}  // namespace shardrift::cuda
