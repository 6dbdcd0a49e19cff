// One device: its memory and the small named operations of the forward pass. Two implementations, CPU and
// CUDA.
//
// Why sharding changes no bits here: every operation is element-local or row-local, except linear, whose bits
// may depend on its shape, strides and alignment; so linear is called once per shard, on that shard's own
// aligned buffers, with the same shape wherever the shard lives. Sums across shards happen only in fold and
// in Transport::all_reduce.
//
// Arithmetic inside an operation is float32 (float64 for float64 models) with one rounding to the model's
// dtype at each store, unless its comment says otherwise.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "model/device_queue.hpp"
#include "model/matrix.hpp"
#include "parallel/plan/dealing.hpp"
#include "parallel/plan/plan.hpp"
#include "weights/layer_spec.hpp"

namespace shardrift {

// Where each row of a pass stands; device pointers, [rows] each.
struct RowIndex {
  const std::int32_t* tokens = nullptr;
  const std::int32_t* positions = nullptr;  // 0-based
  const std::int32_t* slots = nullptr;      // sequence of the KV cache
  const std::int32_t* lengths = nullptr;    // of the row's sequence once the pass has run
  std::int64_t rows = 0;
  bool one_sequence = false;   // all rows in one slot (prefill): they may share loads, never bits
  bool own_sequences = false;  // each row in a slot of its own (decode)
};

// Keys and values of one shard in one layer: [slots][kv_heads][max_length][head_dim] each.
struct CacheView {
  void* keys = nullptr;
  void* values = nullptr;
  std::int64_t kv_heads = 0;
  std::int64_t max_length = 0;
  std::int64_t head_dim = 0;
};

// Cosines and sines by which pairs of elements are rotated; device pointers. Sequences of up to short_length
// tokens use the first table. Longer ones the second (longrope), or frequencies that depend on the sequence's
// length (dynamic).
struct RopeView {
  std::int64_t pairs = 0;          // of each head: its elements i and i + pairs, i < pairs; others stay
  const float* cosines = nullptr;  // [1 or 2 tables][positions][pairs]
  const float* sines = nullptr;
  std::int64_t positions = 0;
  std::int64_t short_length = 0;
  const float* frequencies = nullptr;  // [lengths from short_length + 1 on][pairs]; null: two tables
};

// An RMS norm of rows, or of each head's part of a row.
struct NormView {
  const Matrix* weight = nullptr;  // [1, n], n elements normed together
  double eps = 0;
  NormKind kind = NormKind::rounded;
};

struct AttentionShape {
  std::int64_t query_heads = 0;            // of the shard
  const std::int32_t* local_kv = nullptr;  // device, [query_heads] index into the cache's heads
  std::int64_t window = 0;                 // keys with position > query position - window; 0: all
  double scale = 0;                        // of q · k; 0: 1 / sqrt(head_dim)
  double softcap = 0;                      // c · tanh(score / c) of the scaled score; 0: none
  const void* sinks =
      nullptr;  // device, [query_heads] of the model's dtype: logits beside the row's; or none
  // Device, zero-filled when allocated: weights/attention_scratch.hpp for each row; null: rows are not spread
  // over the device.
  void* scratch = nullptr;
  std::int64_t queries_a_kv = 0;  // query heads that share a KV head, at most; 0: not said
};

// What each row's experts gave, to be weighted and summed. [rows, k]: a row's experts, ascending.
struct ExpertOutputs {
  const void* outputs = nullptr;  // rows of out's columns, of out's dtype
  // Device, [rows, k]: the row's first element in outputs; null: outputs are those of [rows, k], in order.
  const std::int64_t* places = nullptr;
  const std::int32_t* experts = nullptr;  // device, [rows, k]
  const void* weights = nullptr;          // device, [rows, k], float32 (float64 of a float64 model)
  std::int64_t active = 0;                // k
  Matrix bias;                            // [experts, columns], added to each output, then rounded; or none
  ExpertSum sum = ExpertSum::model;
  Range here{0, std::numeric_limits<std::int64_t>::max()};  // of the experts, those that gave something
};

// Of a matrix that each of a mixture's experts has: one expert's, device pointers.
struct ExpertMatrix {
  const void* weight = nullptr;   // as Weight::matrix; null: not of this table
  const float* scales = nullptr;  // as Weight::scales
  const void* bias = nullptr;     // [1, columns of the product], or none
};

// … and those of a shard, all of one format.
struct ExpertTable {
  const ExpertMatrix* experts = nullptr;  // device, [experts]
  std::int64_t count = 0;                 // experts
  Matrix shape;                           // without data
  WeightFormat format = WeightFormat::plain;
};

// Each of a pass's rows with each of its experts.
struct ExpertPairs {
  const std::int32_t* experts = nullptr;  // device, [rows, active]; of a row, no two are the same
  std::int64_t rows = 0;
  std::int64_t active = 0;
  bool settled = false;  // written before the operation just before this one was enqueued, or earlier
  std::int64_t count() const { return rows * active; }
};

// The columns of a matrix in S slices: columns offsets[s] to offsets[s + 1] lie in slice s, `stride` bytes
// after the one before. A slice may have no columns.
struct ColumnSlices {
  const void* data = nullptr;
  std::size_t stride = 0;
  int count = 0;                          // S
  const std::int64_t* offsets = nullptr;  // device, [S + 1], ascending from 0 to the matrix's columns
  std::int64_t width = 0;  // of a row in every slice, pads included; 0: a row is the slice's columns alone
};

class DeviceOrderMap;  // model/device_order_map.hpp
struct OwnedWeight;

// Chosen in place of a token where a row of logits holds an infinity or a NaN.
inline constexpr std::int32_t kNotFinite = -2;

class Backend {
 public:
  virtual ~Backend() = default;

  virtual void* allocate(std::size_t bytes) = 0;  // aligned to kAlignment, zero-filled; throws failure
  virtual void release(void* data) noexcept = 0;
  virtual void upload(void* device, const void* host, std::size_t bytes) = 0;  // host may be reused on return
  // What `fill` writes into the host memory that it is given, which is the device's own where the host can
  // write there. Any thread, several at once.
  virtual void write(void* device, std::size_t bytes, const std::function<void(std::byte*)>& fill) = 0;
  virtual void download(void* host, const void* device,
                        std::size_t bytes) = 0;  // waits for earlier operations
  virtual void synchronize() = 0;
  // Where the host runs ahead of the device: counts as progress (common/progress.hpp) once the device is
  // here.
  virtual void tell_progress() {}
  virtual double read_bandwidth() = 0;  // bytes/s of a plain read or copy, measured now: the decode roofline

  // Whether operations are only enqueued and the host runs ahead of them. Where it does not, they are done on
  // return, and the rest of this paragraph is what a plain host does.
  virtual bool asynchronous() const { return false; }
  virtual void* allocate_host(std::size_t bytes);  // for the two copies below; throws failure
  virtual void release_host(void* data) noexcept;
  // Enqueued: host memory is read or written when the device comes to it.
  virtual void upload_later(void* device, const void* host, std::size_t bytes) {
    upload(device, host, bytes);
  }
  virtual void download_later(void* host, const void* device, std::size_t bytes) {
    download(host, device, bytes);
  }
  virtual std::unique_ptr<DeviceEvent> make_event() { return std::make_unique<DeviceEvent>(); }
  // What `work` enqueues, captured instead of run. Throws failure where the device cannot.
  virtual std::unique_ptr<CapturedWork> capture(const std::function<void()>& work);
  // work(0) … work(count - 1), which touch nothing of each other's: one after another, or enqueued so that
  // the device may do them at once, each on what it would have alone. What is enqueued next comes after all
  // of them. Scratch that a device keeps for an operation must be one for each that may be going on.
  virtual void in_parallel(int count, const std::function<void(int)>& work) {
    for (int i = 0; i < count; ++i) work(i);
  }

  // out[i] = table[tokens[i] - rows.begin] for tokens inside `rows`; other rows of out are left alone.
  // table [rows.size() or more, hidden], out [index.rows, hidden]. A copy, never a sum: -0 stays -0.
  virtual void embed(const Matrix& table, Range rows, const RowIndex& index, const Matrix& out) = 0;
  // out[i] = gathered[owner[tokens[i]]][i]; gathered: size() blocks of out's shape, `stride` bytes apart.
  virtual void pick_rows(const void* gathered, std::size_t stride, const std::int32_t* owner,
                         const RowIndex& index, const Matrix& out) = 0;
  // out = weight · x · rsqrt(mean(x²) + eps), row by row, rounded where norm.kind says (layer_spec.hpp). out
  // may be x.
  virtual void rms_norm(const Matrix& x, const NormView& norm, const Matrix& out) = 0;
  // add (of as many rows), then rms_norm of the sum: bit-equal to the two, which a device may do at once. out
  // may be delta.
  virtual void add_and_norm(const Matrix& to, const Matrix& delta, const NormView& norm, const Matrix& out) {
    add(to, delta);
    rms_norm(to, norm, out);
  }
  // Each head's part of m's rows in place, by itself: heads [heads.begin, heads.end), of as many elements as
  // the norm's weights.
  virtual void head_norm(const Matrix& m, Range heads, const NormView& norm) = 0;
  // out[rows, N] = x[rows, K] · weight[N, K]ᵀ. out.dtype may be float32 where x is narrower: the float32
  // accumulators, unrounded.
  virtual void linear(const Matrix& x, const Weight& weight, const Matrix& out) = 0;
  // Whether linear also takes coded weights that stand for numbers of this dtype, with the bits that the
  // numbers would give.
  virtual bool multiplies_coded(DType) const { return false; }
  // weight: plain, with scales [rows, scales_of_row] of `format` (weights/quantize.hpp), by which its numbers
  // were rounded. Afterwards coded, and smaller; or, where codes do not give every number's bits, plain
  // without scales. Returns the bytes that it takes. Asked only where coded weights are multiplied.
  virtual std::size_t code(OwnedWeight& weight, WeightFormat format);
  // qkv [rows, (query_heads + 2 · kv_heads) · head_dim]: rotates queries and keys in place, writes keys and
  // values to the cache.
  virtual void rope_and_cache(const Matrix& qkv, std::int64_t query_heads, const RopeView& rope,
                              const RowIndex& index, const CacheView& cache) = 0;
  // Causal softmax(q · kᵀ · scale) · v per row and head; reads queries from qkv, writes
  // out [rows, query_heads · head_dim]. A row's bits depend on its own keys only, not on rows, heads or
  // device.
  virtual void attention(const Matrix& qkv, const AttentionShape& shape, const RowIndex& index,
                         const CacheView& cache, const Matrix& out) = 0;
  // rope_and_cache, then attention: bit-equal to the two, which a device may do at once; but qkv holds
  // anything afterwards.
  virtual void rope_and_attention(const Matrix& qkv, const AttentionShape& shape, const RopeView& rope,
                                  const RowIndex& index, const CacheView& cache, const Matrix& out) {
    rope_and_cache(qkv, shape.query_heads, rope, index, cache);
    attention(qkv, shape, index, cache, out);
  }
  // gate_up [rows, 2 · I] -> out [rows, I] = round(activation(gate)) · up; limit: of clamped_swish alone
  virtual void activate(const Matrix& gate_up, Activation activation, double limit, const Matrix& out) = 0;
  // Of each row the `active` experts with the largest logits [rows, experts] (NaN: the least; the lowest id
  // at ties), ascending, and their weights (layer_spec.hpp), float32, or float64 of float64 logits; both
  // [rows, active]. given: ids already holds the experts; only their weights are computed.
  virtual void route(const Matrix& logits, const ExpertsSpec& spec, bool given, std::int32_t* ids,
                     void* weights) = 0;
  // out[p] = x's row · weightᵀ of pair p's expert, then its bias added to what has rounded; of pairs whose
  // expert is in the table (other rows of out are left alone). x [rows or pairs, K], out [pairs, N]. The bits
  // of linear and add. Asked only where groups_experts (weights/grouped_experts.hpp) is true of the plan.
  virtual void linear_of_experts(const Matrix& x, const ExpertTable& table, const ExpertPairs& pairs,
                                 const Matrix& out);
  // out[r] = Σ weights[r, j] · outputs of (r, j), in the order of j, rounded as outputs.sum says; -0 where
  // none is here.
  virtual void combine_experts(const ExpertOutputs& outputs, const Matrix& out) = 0;
  // m · factor, rounded.
  virtual void scale(const Matrix& m, double factor) = 0;
  // m / divisor, then softcap · tanh(m / softcap) where softcap is not 0; rounded once.
  virtual void divide_and_cap(const Matrix& m, double divisor, double softcap) = 0;
  // to += delta, after delta has rounded. delta: as many rows as to, or one (a bias), added to each.
  virtual void add(const Matrix& to, const Matrix& delta) = 0;
  virtual void fill_negative_zero(const Matrix& out) = 0;  // an empty shard's partial: x + -0 = x for every x
  // The partials of map.shards() shards, `stride` bytes apart, each of out's shape, summed as the map and the
  // accumulator say and rounded to out's dtype once more at the end; bit-equal to scalar_fold. partial_dtype
  // is out's or float32. map was made by this backend for out.count() elements.
  virtual void fold(const void* partials, std::size_t stride, DType partial_dtype, const DeviceOrderMap& map,
                    Accumulator accumulator, const Matrix& out) = 0;
  // chosen[r] = the index of the largest of row r (the lowest at ties), or kNotFinite.
  virtual void choose(const Matrix& logits, std::int32_t* chosen) = 0;
  // tokens[i] = chosen[-1 - tokens[i]] where tokens[i] < 0 (0 for what is not finite); others stay.
  virtual void take_chosen(const std::int32_t* chosen, std::int64_t rows, std::int32_t* tokens) = 0;
  // Columns [columns.begin, columns.end) of from to those of `to` from column `at` on. A copy of bits.
  virtual void copy_columns(const Matrix& from, Range columns, const Matrix& to, std::int64_t at) = 0;
  // out [rows, columns] from its slices [rows][width]; pads dropped. A copy of bits.
  virtual void join_columns(const ColumnSlices& slices, const Matrix& out) = 0;
  // sums[r] += Σ mix64(index + j, bits of m[r, columns.begin + j]) over j in [0, columns.size()), modulo 2^64
  // (common/mix64.hpp). sums: device, [m.rows]. Integers: the order of the sum changes nothing. targets
  // (device, [m.rows]): row r's sum is sums[targets[r]], none where that is negative.
  virtual void checksum(const Matrix& m, Range columns, std::int64_t index, std::uint64_t* sums,
                        const std::int32_t* targets = nullptr) = 0;
};

std::unique_ptr<Backend> make_cpu_backend(int threads, Products products = Products::library);

// Device memory with an owner.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Backend& backend, std::size_t bytes)
      : backend_(&backend), data_(bytes == 0 ? nullptr : backend.allocate(bytes)) {}
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Buffer() {
    if (data_ != nullptr) backend_->release(data_);
  }
  void* data() const { return data_; }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(backend_, other.backend_);
    std::swap(data_, other.data_);
  }
  Backend* backend_ = nullptr;
  void* data_ = nullptr;
};

// A buffer with these values.
template <typename T>
Buffer uploaded(Backend& backend, const std::vector<T>& values) {
  Buffer buffer(backend, values.size() * sizeof(T));
  if (!values.empty()) backend.upload(buffer.data(), values.data(), values.size() * sizeof(T));
  return buffer;
}

// A matrix with its memory.
struct OwnedMatrix {
  Buffer buffer;
  Matrix view;
  OwnedMatrix() = default;
  OwnedMatrix(Backend& backend, std::int64_t rows, std::int64_t cols, DType dtype)
      : buffer(backend, static_cast<std::size_t>(rows * cols) * size_of(dtype)),
        view{buffer.data(), rows, cols, dtype} {}
};

// A weight with its memory.
struct OwnedWeight {
  OwnedMatrix matrix;
  WeightFormat format = WeightFormat::plain;
  OwnedMatrix scales;
  Weight view() const {
    Weight weight(matrix.view);
    weight.format = format;
    weight.scales = scales.view;
    return weight;
  }
};

}  // namespace shardrift
