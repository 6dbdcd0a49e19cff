// The CUDA operations against the CPU's on the same random inputs, and the equality rules on one GPU.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "common/error.hpp"
#include "model/backend.hpp"
#include "model/cuda/cuda_device.hpp"
#include "weights/attention_scratch.hpp"

namespace shardrift {
namespace {

using Bytes = std::vector<std::byte>;

Bytes random_words(std::int64_t count, DType dtype, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  Bytes bytes(static_cast<std::size_t>(count) * size_of(dtype));
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = normal(generator);
    std::byte* at = bytes.data() + static_cast<std::size_t>(i) * size_of(dtype);
    if (dtype == DType::float64) {
      const double wide = value;
      std::memcpy(at, &wide, 8);
    } else if (dtype == DType::float32) {
      std::memcpy(at, &value, 4);
    } else {
      const std::uint16_t word =
          dtype == DType::float16 ? float16_from_float(value) : bfloat16_from_float(value);
      std::memcpy(at, &word, 2);
    }
  }
  return bytes;
}

double value_at(const Bytes& bytes, DType dtype, std::size_t i) {
  const std::byte* at = bytes.data() + i * size_of(dtype);
  if (dtype == DType::float64) {
    double value = 0;
    std::memcpy(&value, at, 8);
    return value;
  }
  if (dtype == DType::float32) {
    float value = 0;
    std::memcpy(&value, at, 4);
    return value;
  }
  std::uint16_t word = 0;
  std::memcpy(&word, at, 2);
  return dtype == DType::float16 ? float_from_float16(word) : float_from_bfloat16(word);
}

// ‖a - b‖ / ‖b‖; NaN never passes.
double relative_error(const Bytes& a, const Bytes& b, DType dtype) {
  double error = 0;
  double size = 0;
  for (std::size_t i = 0; i < b.size() / size_of(dtype); ++i) {
    error += std::pow(value_at(a, dtype, i) - value_at(b, dtype, i), 2);
    size += std::pow(value_at(b, dtype, i), 2);
  }
  return std::sqrt(error / size);
}

double tolerance(DType dtype) {
  switch (dtype) {
    case DType::float64:
      return 1e-13;
    case DType::float32:
      return 2e-6;
    case DType::float16:
      return 1e-3;
    default:
      return 8e-3;
  }
}

class CudaBackendTest : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    select_cuda_device(0);
    gpu = make_cuda_backend(false);
    cpu = make_cpu_backend(1);
  }
  struct Both {
    OwnedMatrix gpu, cpu;
  };
  Both matrix(std::int64_t rows, std::int64_t cols, unsigned seed, DType dtype) {
    const Bytes words = random_words(rows * cols, dtype, seed);
    Both both{OwnedMatrix(*gpu, rows, cols, dtype), OwnedMatrix(*cpu, rows, cols, dtype)};
    gpu->upload(both.gpu.view.data, words.data(), words.size());
    cpu->upload(both.cpu.view.data, words.data(), words.size());
    return both;
  }
  Both matrix(std::int64_t rows, std::int64_t cols, unsigned seed) {
    return matrix(rows, cols, seed, GetParam());
  }
  static Bytes read(Backend& backend, const Matrix& m) {
    Bytes bytes(m.bytes());
    backend.download(bytes.data(), m.data, bytes.size());
    return bytes;
  }
  void expect_close(const Both& both) {
    EXPECT_LE(relative_error(read(*gpu, both.gpu.view), read(*cpu, both.cpu.view), GetParam()),
              tolerance(GetParam()));
  }
  void expect_same(const Both& both) { EXPECT_EQ(read(*gpu, both.gpu.view), read(*cpu, both.cpu.view)); }
  Buffer ids(Backend& backend, const std::vector<std::int32_t>& values) {
    Buffer buffer(backend, values.size() * 4);
    backend.upload(buffer.data(), values.data(), values.size() * 4);
    return buffer;
  }

  std::unique_ptr<Backend> gpu, cpu;
};

// The lowest of the largest, wherever it lies and however many threads there are; no token where a row is not
// finite.
TEST_P(CudaBackendTest, ChoosesTheCpusTokens) {
  for (const std::int64_t cols : {1, 7, 1024, 1025, 32000, 151936}) {
    constexpr std::int64_t kRows = 6;
    auto words = random_words(kRows * cols, GetParam(), static_cast<unsigned>(cols));
    const std::size_t element = size_of(GetParam());
    const auto at = [&](std::int64_t row, std::int64_t col) {
      return words.data() + static_cast<std::size_t>(row * cols + col) * element;
    };
    // Row 1: the row's largest twice more, so that the lowest of them counts; row 2: 0 and -0; row 3: NaN.
    const auto largest = [&](std::int64_t row) {
      std::size_t best = 0;
      for (std::int64_t i = 1; i < cols; ++i) {
        const auto index = static_cast<std::size_t>(row * cols + i);
        if (value_at(words, GetParam(), index) >
            value_at(words, GetParam(), static_cast<std::size_t>(row * cols) + best))
          best = static_cast<std::size_t>(i);
      }
      return static_cast<std::int64_t>(best);
    };
    std::vector<std::byte> top(element);
    std::memcpy(top.data(), at(1, largest(1)), element);
    for (const std::int64_t col : {cols / 2, cols - 1}) std::memcpy(at(1, col), top.data(), element);
    std::memset(at(2, 0), 0, static_cast<std::size_t>(cols) * element);
    for (std::int64_t i = 0; i < cols; i += 2) *(at(2, i) + element - 1) = std::byte{0x80};  // -0
    std::memset(at(3, cols - 1), 0xFF, element);
    OwnedMatrix on_gpu(*gpu, kRows, cols, GetParam());
    OwnedMatrix on_cpu(*cpu, kRows, cols, GetParam());
    gpu->upload(on_gpu.view.data, words.data(), words.size());
    cpu->upload(on_cpu.view.data, words.data(), words.size());
    const Buffer gpu_chosen(*gpu, kRows * 4);
    const Buffer cpu_chosen(*cpu, kRows * 4);
    gpu->choose(on_gpu.view, gpu_chosen.as<std::int32_t>());
    cpu->choose(on_cpu.view, cpu_chosen.as<std::int32_t>());
    std::vector<std::int32_t> found(kRows);
    gpu->download(found.data(), gpu_chosen.data(), kRows * 4);
    const std::vector<std::int32_t> expected(cpu_chosen.as<std::int32_t>(),
                                             cpu_chosen.as<std::int32_t>() + kRows);
    EXPECT_EQ(found, expected) << cols;
    EXPECT_EQ(found[2], 0);
    EXPECT_EQ(found[3], kNotFinite);
    // The tokens of the next pass: given, and by what was chosen.
    const std::vector<std::int32_t> given{5, -1, -3, -4, 0, -6};
    const Buffer tokens = ids(*gpu, given);
    gpu->take_chosen(gpu_chosen.as<std::int32_t>(), kRows, tokens.as<std::int32_t>());
    gpu->download(found.data(), tokens.data(), kRows * 4);
    EXPECT_EQ(found, (std::vector<std::int32_t>{5, expected[0], expected[2], 0, 0, expected[5]}));
  }
}

// What is captured runs when it is launched, as often as it is, on what then lies in its buffers; copies from
// and to pinned memory go in order with it.
TEST_P(CudaBackendTest, ReplaysWhatWasCaptured) {
  const auto x = matrix(3, 576, 1);
  const auto delta = matrix(3, 576, 2);
  const auto plain = matrix(3, 576, 1);
  const std::size_t bytes = x.gpu.view.bytes();
  const auto before = read(*gpu, x.gpu.view);
  const auto work = gpu->capture([&] { gpu->add(x.gpu.view, delta.gpu.view); });
  EXPECT_EQ(read(*gpu, x.gpu.view), before);  // nothing ran
  for (int i = 0; i < 1000; ++i) work->launch();
  for (int i = 0; i < 1000; ++i) gpu->add(plain.gpu.view, delta.gpu.view);
  EXPECT_EQ(read(*gpu, x.gpu.view), read(*gpu, plain.gpu.view));
  void* pinned = gpu->allocate_host(2 * bytes);
  auto* to = static_cast<std::byte*>(pinned) + bytes;
  std::memcpy(pinned, before.data(), bytes);
  const auto event = gpu->make_event();
  gpu->upload_later(x.gpu.view.data, pinned, bytes);
  work->launch();
  gpu->download_later(to, x.gpu.view.data, bytes);
  event->record();
  event->wait();
  cpu->add(x.cpu.view, delta.cpu.view);
  EXPECT_EQ(Bytes(to, to + bytes), read(*cpu, x.cpu.view));
  gpu->release_host(pinned);
  // A capture that fails leaves the device as it was.
  EXPECT_THROW(gpu->capture([&] { throw failure("no"); }), Error);
  work->launch();
  gpu->synchronize();
}

// What is done at once has the bits of what is done one after another, captured or not: products as wide in K
// as a 7B model's, more of them than there are branches.
TEST_P(CudaBackendTest, AtOnceHasTheBitsOfOneAfterAnother) {
  constexpr std::size_t kShards = 9;
  constexpr std::int64_t kColumns = 512;
  std::vector<OwnedMatrix> weights;
  for (unsigned s = 0; s < kShards; ++s) weights.push_back(matrix(kColumns, 4096, s).gpu);
  const auto inputs = matrix(300, 4096, kShards);
  for (const std::int64_t rows : {1, 17, 300}) {
    const Matrix x = inputs.gpu.view.first_rows(rows);
    std::vector<OwnedMatrix> alone, products, after;
    const auto one = [&](std::size_t s, const Matrix& out) {
      gpu->linear(x, weights[s].view, out);
      gpu->add(out, out);
    };
    for (std::size_t s = 0; s < kShards; ++s) {
      for (auto* outs : {&alone, &products, &after}) outs->emplace_back(*gpu, rows, kColumns, GetParam());
      one(s, alone[s].view);
    }
    const auto at_once = [&] {
      gpu->in_parallel(kShards, [&](int s) {
        const auto i = static_cast<std::size_t>(s);
        one(i, products[i].view);
      });
      for (std::size_t i = 0; i < kShards; ++i)
        gpu->copy_columns(products[i].view, {0, kColumns}, after[i].view, 0);
    };
    const auto expect_alike = [&] {
      for (std::size_t i = 0; i < kShards; ++i)
        EXPECT_EQ(read(*gpu, after[i].view), read(*gpu, alone[i].view)) << i << " of " << rows << " rows";
    };
    at_once();
    expect_alike();
    const auto work = gpu->capture(at_once);
    for (int repeat = 0; repeat < 100; ++repeat) work->launch();
    for (auto& out : after) gpu->fill_negative_zero(out.view);
    work->launch();
    expect_alike();
  }
}

TEST_P(CudaBackendTest, NormActivationAndProduct) {
  const auto x = matrix(19, 576, 1);
  const auto weight = matrix(1, 576, 2);
  const auto out = matrix(19, 576, 3);
  for (const NormKind kind : {NormKind::rounded, NormKind::unrounded, NormKind::one_plus}) {
    gpu->rms_norm(x.gpu.view, {&weight.gpu.view, 1e-5, kind}, out.gpu.view);
    cpu->rms_norm(x.cpu.view, {&weight.cpu.view, 1e-5, kind}, out.cpu.view);
    expect_close(out);
  }
  // Heads 1 to 6 of 9, in place.
  const auto heads = matrix(19, 9 * 64, 1);
  const auto head_weight = matrix(1, 64, 2);
  gpu->head_norm(heads.gpu.view, {1, 6}, {&head_weight.gpu.view, 1e-5, NormKind::rounded});
  cpu->head_norm(heads.cpu.view, {1, 6}, {&head_weight.cpu.view, 1e-5, NormKind::rounded});
  expect_close(heads);

  const auto gate_up = matrix(19, 2 * 200, 4);
  const auto activated = matrix(19, 200, 5);
  for (const Activation activation :
       {Activation::silu, Activation::gelu_tanh, Activation::gelu, Activation::clamped_swish}) {
    gpu->activate(gate_up.gpu.view, activation, 0.5, activated.gpu.view);
    cpu->activate(gate_up.cpu.view, activation, 0.5, activated.cpu.view);
    expect_close(activated);
  }
  gpu->divide_and_cap(activated.gpu.view, 1.5, 0);
  cpu->divide_and_cap(activated.cpu.view, 1.5, 0);
  expect_close(activated);
  gpu->divide_and_cap(activated.gpu.view, 1, 30);
  cpu->divide_and_cap(activated.cpu.view, 1, 30);
  expect_close(activated);

  for (const std::int64_t rows : {1, 19}) {
    const auto w = matrix(333, 576, 6);
    const auto product = matrix(rows, 333, 7);
    gpu->linear(x.gpu.view.first_rows(rows), w.gpu.view, product.gpu.view);
    cpu->linear(x.cpu.view.first_rows(rows), w.cpu.view, product.cpu.view);
    expect_close(product);
  }
}

TEST_P(CudaBackendTest, AddHasTheCpusBits) {
  for (const std::int64_t count : {1, 577, 100003}) {
    const auto sum = matrix(1, count, 8);
    const auto delta = matrix(1, count, 9);
    gpu->add(sum.gpu.view, delta.gpu.view);
    cpu->add(sum.cpu.view, delta.cpu.view);
    expect_same(sum);
    gpu->scale(sum.gpu.view, 0.22);
    cpu->scale(sum.cpu.view, 0.22);
    expect_same(sum);
  }
}

TEST_P(CudaBackendTest, AddAndNormHasTheBitsOfTheTwo) {
  for (const std::int64_t cols : {1, 9, 576, 577, 4096, 4097, 12288}) {
    for (const NormKind kind : {NormKind::rounded, NormKind::unrounded, NormKind::one_plus}) {
      const auto weight = matrix(1, cols, 30);
      const NormView norm{&weight.gpu.view, 1e-5, kind};
      const auto apart = matrix(3, cols, 31), at_once = matrix(3, cols, 31);
      const auto delta = matrix(3, cols, 32), overwritten = matrix(3, cols, 32);
      const auto normed = matrix(3, cols, 33);
      gpu->add(apart.gpu.view, delta.gpu.view);
      gpu->rms_norm(apart.gpu.view, norm, normed.gpu.view);
      gpu->add_and_norm(at_once.gpu.view, overwritten.gpu.view, norm, overwritten.gpu.view);
      EXPECT_EQ(read(*gpu, at_once.gpu.view), read(*gpu, apart.gpu.view)) << cols;
      EXPECT_EQ(read(*gpu, overwritten.gpu.view), read(*gpu, normed.gpu.view)) << cols;
    }
  }
}

TEST_P(CudaBackendTest, EmbeddingJoinAndEmptyPartialsMoveBits) {
  const auto table = matrix(10, 72, 11);
  const auto out = matrix(4, 72, 12);
  const std::vector<std::int32_t> tokens{25, 20, 99, 29};
  const auto on_gpu = ids(*gpu, tokens);
  gpu->embed(table.gpu.view, {20, 30}, {.tokens = on_gpu.as<std::int32_t>(), .rows = 4}, out.gpu.view);
  cpu->embed(table.cpu.view, {20, 30}, {.tokens = tokens.data(), .rows = 4}, out.cpu.view);
  expect_same(out);

  const std::size_t stride = aligned(2 * 65 * size_of(GetParam()));
  const Bytes slices =
      random_words(static_cast<std::int64_t>(8 * stride / size_of(GetParam())), GetParam(), 13);
  Buffer slices_on_gpu(*gpu, slices.size());
  gpu->upload(slices_on_gpu.data(), slices.data(), slices.size());
  const auto joined = matrix(2, 259, 14);
  // Padded slices; slices without pads, empty ones among them.
  for (const std::vector<std::int64_t>& offsets :
       {std::vector<std::int64_t>{0, 65, 130, 195, 259}, std::vector<std::int64_t>{0, 0, 129, 129, 259}}) {
    const std::int64_t width = offsets[1] == 0 ? 0 : 65;
    const std::size_t apart = width == 0 ? 2 * stride : stride;
    Buffer offsets_on_gpu(*gpu, offsets.size() * sizeof(std::int64_t));
    gpu->upload(offsets_on_gpu.data(), offsets.data(), offsets.size() * sizeof(std::int64_t));
    const auto on_gpu_offsets = offsets_on_gpu.as<std::int64_t>();
    gpu->join_columns({slices_on_gpu.data(), apart, 4, on_gpu_offsets, width}, joined.gpu.view);
    cpu->join_columns({slices.data(), apart, 4, offsets.data(), width}, joined.cpu.view);
    expect_same(joined);
  }

  const auto part = matrix(2, 100, 21);
  gpu->copy_columns(joined.gpu.view, {130, 195}, part.gpu.view, 20);
  cpu->copy_columns(joined.cpu.view, {130, 195}, part.cpu.view, 20);
  expect_same(part);

  gpu->fill_negative_zero(joined.gpu.view);
  cpu->fill_negative_zero(joined.cpu.view);
  expect_same(joined);
}

TEST_P(CudaBackendTest, RopeCacheAndAttention) {
  constexpr std::int64_t kRows = 37, kHeads = 6, kKv = 2, kLength = 300;
  for (const std::int64_t dim : {16, 20, 64, 128, 192}) {
    for (const std::int64_t window : {0, 40}) {
      const auto qkv = matrix(kRows, (kHeads + 2 * kKv) * dim, 15);
      const auto keys = matrix(2 * kKv * kLength, dim, 16);
      const auto values = matrix(2 * kKv * kLength, dim, 17);
      const std::int64_t pairs = window == 0 ? dim / 2 : dim / 2 - 2;
      const auto cosines = matrix(2 * kLength, pairs, 18, DType::float32);
      std::vector<std::int32_t> positions(kRows);
      for (std::int32_t i = 0; i < kRows; ++i) positions[static_cast<std::size_t>(i)] = i * 7 % 250 + 13;
      const std::vector<std::int32_t> slots(kRows, 1), local_kv{0, 0, 0, 1, 1, 1};
      const auto positions_gpu = ids(*gpu, positions), slots_gpu = ids(*gpu, slots),
                 local_gpu = ids(*gpu, local_kv);
      const CacheView cache_gpu{keys.gpu.view.data, values.gpu.view.data, kKv, kLength, dim};
      const CacheView cache_cpu{keys.cpu.view.data, values.cpu.view.data, kKv, kLength, dim};
      // Sequences of up to 200 tokens take the table; longer ones their own frequencies, or another table.
      std::vector<std::int32_t> lengths(kRows);
      for (std::int32_t i = 0; i < kRows; ++i) lengths[static_cast<std::size_t>(i)] = 180 + 3 * i;
      const auto lengths_gpu = ids(*gpu, lengths);
      const RowIndex index_gpu{nullptr,
                               positions_gpu.as<std::int32_t>(),
                               slots_gpu.as<std::int32_t>(),
                               lengths_gpu.as<std::int32_t>(),
                               kRows,
                               true};
      const RowIndex index_cpu{nullptr, positions.data(), slots.data(), lengths.data(), kRows, true};
      const auto* cosine_gpu = static_cast<const float*>(cosines.gpu.view.data);
      const auto* cosine_cpu = static_cast<const float*>(cosines.cpu.view.data);
      const bool dynamic = dim % 64 == 0;
      const RopeView rope_gpu{pairs, cosine_gpu, cosine_gpu, kLength, 200, dynamic ? cosine_gpu : nullptr};
      const RopeView rope_cpu{pairs, cosine_cpu, cosine_cpu, kLength, 200, dynamic ? cosine_cpu : nullptr};
      gpu->rope_and_cache(qkv.gpu.view, kHeads, rope_gpu, index_gpu, cache_gpu);
      cpu->rope_and_cache(qkv.cpu.view, kHeads, rope_cpu, index_cpu, cache_cpu);
      expect_close(qkv);
      expect_close(keys);
      expect_close(values);

      const auto out = matrix(kRows, kHeads * dim, 19);
      AttentionShape shape_gpu{kHeads, local_gpu.as<std::int32_t>(), window};
      if (window != 0) {
        shape_gpu.scale = 0.3;
        shape_gpu.softcap = 5;
      }
      AttentionShape shape_cpu = shape_gpu;
      shape_cpu.local_kv = local_kv.data();
      gpu->attention(qkv.gpu.view, shape_gpu, index_gpu, cache_gpu, out.gpu.view);
      cpu->attention(qkv.cpu.view, shape_cpu, index_cpu, cache_cpu, out.cpu.view);
      EXPECT_LE(relative_error(read(*gpu, out.gpu.view), read(*cpu, out.cpu.view), GetParam()),
                2 * tolerance(GetParam()))
          << "head_dim " << dim << ", window " << window;

      // A row alone gives the bits it has among others, whether or not rows share their loads, and spread
      // over the device.
      const Buffer scratch(*gpu, static_cast<std::size_t>(attention_scratch(kHeads, dim, kLength)));
      AttentionShape spread = shape_gpu;
      spread.scratch = scratch.data();
      const Bytes together = read(*gpu, out.gpu.view);
      const std::size_t row_bytes = static_cast<std::size_t>(kHeads * dim) * size_of(GetParam());
      for (const std::int64_t r : {0, 5, 36}) {
        const Matrix row{static_cast<std::byte*>(qkv.gpu.view.data) +
                             static_cast<std::size_t>(r * qkv.gpu.view.cols) * size_of(GetParam()),
                         1, qkv.gpu.view.cols, GetParam()};
        for (const bool one_sequence : {false, true}) {
          const auto alone = matrix(1, kHeads * dim, 20);
          RowIndex index_of_row{
              nullptr,     positions_gpu.as<std::int32_t>() + r, slots_gpu.as<std::int32_t>(), nullptr, 1,
              one_sequence};
          index_of_row.own_sequences = !one_sequence;
          gpu->attention(row, one_sequence ? shape_gpu : spread, index_of_row, cache_gpu, alone.gpu.view);
          const Bytes bits = read(*gpu, alone.gpu.view);
          EXPECT_EQ(
              std::memcmp(bits.data(), together.data() + static_cast<std::size_t>(r) * row_bytes, row_bytes),
              0)
              << "row " << r << " head_dim " << dim;
        }
      }
    }
  }
}

// Decode rows of sequences of their own: what rope_and_cache and attention give one after the other.
TEST_P(CudaBackendTest, RopeAndAttentionAtOnceHaveTheBitsOfTheTwo) {
  struct Sizes {
    std::int64_t heads, kv, length;
    std::vector<std::int32_t> positions;
    std::vector<std::int64_t> dims;
  };
  // Few query heads of a KV head; more than half a tile of them; so many rows and heads that a block has
  // several spans.
  for (const Sizes& sizes : {Sizes{6, 2, 700, {0, 63, 64, 300, 699}, {16, 64, 96, 128, 256}},
                             Sizes{20, 2, 700, {0, 63, 64, 300, 699}, {64, 128, 256}},
                             Sizes{22, 22, 1100, {1099, 600, 255, 256}, {128}}}) {
    const auto rows = static_cast<std::int64_t>(sizes.positions.size());
    std::vector<std::int32_t> lengths, slots, local_kv;
    for (std::int64_t r = 0; r < rows; ++r) {
      lengths.push_back(sizes.positions[static_cast<std::size_t>(r)] + 1);
      slots.push_back(static_cast<std::int32_t>((r + 3) % rows));
    }
    for (std::int64_t h = 0; h < sizes.heads; ++h)
      local_kv.push_back(static_cast<std::int32_t>(h * sizes.kv / sizes.heads));
    const auto positions_gpu = ids(*gpu, sizes.positions), lengths_gpu = ids(*gpu, lengths),
               slots_gpu = ids(*gpu, slots), local_gpu = ids(*gpu, local_kv);
    RowIndex index{nullptr, positions_gpu.as<std::int32_t>(), slots_gpu.as<std::int32_t>(),
                   lengths_gpu.as<std::int32_t>(), rows};
    index.own_sequences = true;
    for (const std::int64_t dim : sizes.dims) {
      for (const bool partly : {false, true}) {
        const std::int64_t pairs = partly ? dim / 4 : dim / 2;
        const auto cosines = matrix(2 * sizes.length, pairs, 40, DType::float32),
                   sines = matrix(2 * sizes.length, pairs, 41, DType::float32);
        const Buffer scratch(
            *gpu, static_cast<std::size_t>(rows * attention_scratch(sizes.heads, dim, sizes.length)));
        AttentionShape shape{sizes.heads, local_gpu.as<std::int32_t>()};
        shape.scratch = scratch.data();
        shape.queries_a_kv = sizes.heads / sizes.kv;
        // Sequences longer than 400 take the second table.
        const RopeView rope{pairs,
                            static_cast<const float*>(cosines.gpu.view.data),
                            static_cast<const float*>(sines.gpu.view.data),
                            sizes.length,
                            400,
                            nullptr};
        std::vector<Bytes> kept;
        for (const bool at_once : {false, true}) {
          const auto qkv = matrix(rows, (sizes.heads + 2 * sizes.kv) * dim, 42);
          const auto keys = matrix(rows * sizes.kv * sizes.length, dim, 43),
                     values = matrix(rows * sizes.kv * sizes.length, dim, 44);
          const auto out = matrix(rows, sizes.heads * dim, 45);
          const CacheView cache{keys.gpu.view.data, values.gpu.view.data, sizes.kv, sizes.length, dim};
          if (at_once) {
            gpu->rope_and_attention(qkv.gpu.view, shape, rope, index, cache, out.gpu.view);
          } else {
            gpu->rope_and_cache(qkv.gpu.view, sizes.heads, rope, index, cache);
            gpu->attention(qkv.gpu.view, shape, index, cache, out.gpu.view);
          }
          for (const auto* m : {&keys, &values, &out}) kept.push_back(read(*gpu, m->gpu.view));
        }
        const std::string what = std::to_string(sizes.heads) + " heads of " + std::to_string(dim) +
                                 (partly ? ", partly rotated" : "");
        EXPECT_TRUE(kept[0] == kept[3]) << "keys, " << what;
        EXPECT_TRUE(kept[1] == kept[4]) << "values, " << what;
        EXPECT_TRUE(kept[2] == kept[5]) << what;
      }
    }
  }
}

TEST_P(CudaBackendTest, AProductsBitsDoNotDependOnWhereTheShardLives) {
  for (const std::int64_t rows : {1, 17, 256}) {
    const auto first_x = matrix(rows, 576, 21);
    const auto first_weight = matrix(384, 576, 22);
    const auto first = matrix(rows, 384, 23);
    gpu->linear(first_x.gpu.view, first_weight.gpu.view, first.gpu.view);
    std::vector<Both> kept;  // so that every copy lies elsewhere
    for (int copy = 0; copy < 4; ++copy) {
      kept.push_back(matrix(rows, 576, 21));
      kept.push_back(matrix(384, 576, 22));
      const auto out = matrix(rows, 384, 24);
      gpu->linear(kept[kept.size() - 2].gpu.view, kept.back().gpu.view, out.gpu.view);
      EXPECT_EQ(read(*gpu, out.gpu.view), read(*gpu, first.gpu.view)) << rows << " rows, copy " << copy;
    }
  }
}

TEST_P(CudaBackendTest, WideOutputHoldsTheAccumulators) {
  if (size_of(GetParam()) != 2) GTEST_SKIP() << "only 16-bit models have narrower outputs than accumulators";
  const auto x = matrix(3, 576, 25);
  const auto weight = matrix(100, 576, 26);
  const auto wide = matrix(3, 100, 27, DType::float32);
  gpu->linear(x.gpu.view, weight.gpu.view, wide.gpu.view);
  cpu->linear(x.cpu.view, weight.cpu.view, wide.cpu.view);
  EXPECT_LE(relative_error(read(*gpu, wide.gpu.view), read(*cpu, wide.cpu.view), DType::float32), 2e-6);
}

// Integers: the same on both devices, whole or in parts.
TEST_P(CudaBackendTest, ChecksumsAreTheCpus) {
  for (const std::int64_t cols : {1, 255, 576, 4099}) {
    const std::int64_t rows = 7;
    const auto m = matrix(rows, cols, 31);
    const std::vector<std::uint64_t> zeros(static_cast<std::size_t>(rows), 0);
    const Buffer gpu_sums(*gpu, zeros.size() * 8);
    std::vector<std::uint64_t> cpu_sums = zeros;
    for (const Range part : {Range{0, cols / 3}, Range{cols / 3, cols}, Range{cols, cols}}) {
      gpu->checksum(m.gpu.view, part, part.begin + 9, gpu_sums.as<std::uint64_t>());
      cpu->checksum(m.cpu.view, part, part.begin + 9, cpu_sums.data());
    }
    std::vector<std::uint64_t> sums = zeros;
    gpu->download(sums.data(), gpu_sums.data(), sums.size() * 8);
    EXPECT_EQ(sums, cpu_sums) << cols;
    EXPECT_NE(sums, zeros);
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, CudaBackendTest,
                         ::testing::Values(DType::float64, DType::float32, DType::float16, DType::bfloat16),
                         [](const auto& dtype) { return std::string(name_of(dtype.param)); });

}  // namespace
}  // namespace shardrift
