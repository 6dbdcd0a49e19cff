// Attention on tensor cores: the bits of a row in prefill, in decode spread over the device, and among other
// sequences are the same; its error beside float64.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "model/backend.hpp"
#include "model/cuda/cuda_device.hpp"
#include "weights/attention_scratch.hpp"

namespace shardrift {
namespace {

struct Case {
  const char* name;
  std::int64_t heads, kv_heads, dim, rows, window;
  double softcap;
  bool sinks;
};

class CudaAttention : public ::testing::TestWithParam<std::tuple<Case, DType>> {
 protected:
  void SetUp() override {
    select_cuda_device(0);
    gpu = make_cuda_backend(false);
    queries = numbers(what.rows * columns(), 1);
    keys = numbers(kSlots * what.kv_heads * kLength * what.dim, 2);
    values = numbers(kSlots * what.kv_heads * kLength * what.dim, 3);
    sinks = numbers(what.heads, 4);
    for (std::int64_t h = 0; h < what.heads; ++h)
      local_kv.push_back(static_cast<std::int32_t>(h * what.kv_heads / what.heads));
    for (std::int64_t r = 0; r < what.rows; ++r) {
      positions.push_back(static_cast<std::int32_t>(r));
      slots.push_back(0);
    }
  }

  static constexpr std::int64_t kSlots = 2, kLength = 1500;
  std::int64_t columns() const { return (what.heads + 2 * what.kv_heads) * what.dim; }
  std::int64_t out_columns() const { return what.heads * what.dim; }

  // Rounded to the dtype.
  std::vector<float> numbers(std::int64_t count, unsigned seed) const {
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    std::vector<float> result(static_cast<std::size_t>(count));
    for (float& value : result) value = as_float(as_word(normal(generator)));
    return result;
  }
  std::uint16_t as_word(float value) const {
    return dtype == DType::float16 ? float16_from_float(value) : bfloat16_from_float(value);
  }
  float as_float(std::uint16_t word) const {
    return dtype == DType::float16 ? float_from_float16(word) : float_from_bfloat16(word);
  }
  template <typename T>
  Buffer uploaded_bytes(const std::vector<T>& data) const {
    Buffer buffer(*gpu, std::max<std::size_t>(1, data.size() * sizeof(T)));
    gpu->upload(buffer.data(), data.data(), data.size() * sizeof(T));
    return buffer;
  }
  Buffer on_gpu(const std::vector<float>& data) const {
    std::vector<std::uint16_t> words;
    for (const float value : data) words.push_back(as_word(value));
    return uploaded_bytes(words);
  }

  // Rows of the queries, of which row i stands at positions[i] of slots[i].
  std::vector<std::uint16_t> run(const std::vector<std::int64_t>& rows, const std::vector<std::int32_t>& at,
                                 const std::vector<std::int32_t>& in, bool one_sequence, bool spread) {
    std::vector<float> picked;
    for (const std::int64_t r : rows)
      picked.insert(picked.end(), queries.begin() + r * columns(), queries.begin() + (r + 1) * columns());
    const auto n = static_cast<std::int64_t>(rows.size());
    const Buffer qkv = on_gpu(picked);
    const Buffer key_cache = on_gpu(keys), value_cache = on_gpu(values), sink_words = on_gpu(sinks);
    const Buffer kv = uploaded_bytes(local_kv), position = uploaded_bytes(at), slot = uploaded_bytes(in);
    const OwnedMatrix out(*gpu, n, out_columns(), dtype);
    const Buffer scratch(*gpu,
                         static_cast<std::size_t>(n * attention_scratch(what.heads, what.dim, kLength)));
    RowIndex index{nullptr, position.as<std::int32_t>(), slot.as<std::int32_t>(), nullptr, n, one_sequence};
    index.own_sequences = spread;
    AttentionShape shape{what.heads, kv.as<std::int32_t>(), what.window};
    shape.softcap = what.softcap;
    shape.sinks = what.sinks ? sink_words.data() : nullptr;
    shape.scratch = scratch.data();
    const CacheView cache{key_cache.data(), value_cache.data(), what.kv_heads, kLength, what.dim};
    std::vector<std::uint16_t> words(static_cast<std::size_t>(n * out_columns()));
    // Twice: counters must be ready for the next pass.
    for (int repeat = 0; repeat < 2; ++repeat) {
      gpu->attention({qkv.data(), n, columns(), dtype}, shape, index, cache, out.view);
      std::vector<std::uint16_t> again(words.size());
      gpu->download(again.data(), out.view.data, again.size() * 2);
      EXPECT_TRUE(repeat == 0 || again == words) << "a second pass has other bits";
      words = again;
    }
    return words;
  }
  std::vector<std::uint16_t> row_of(const std::vector<std::uint16_t>& words, std::int64_t i) const {
    return {words.begin() + i * out_columns(), words.begin() + (i + 1) * out_columns()};
  }
  std::vector<std::int64_t> all_rows() const {
    std::vector<std::int64_t> rows;
    for (std::int64_t r = 0; r < what.rows; ++r) rows.push_back(r);
    return rows;
  }

  // ‖out - exact‖ / ‖exact‖ of one row, all heads.
  double error(const std::vector<std::uint16_t>& row, std::int64_t r) const {
    double difference = 0, size = 0;
    for (std::int64_t h = 0; h < what.heads; ++h) {
      const std::int64_t begin = what.window > 0 ? std::max<std::int64_t>(0, r + 1 - what.window) : 0;
      const float* query = &queries[static_cast<std::size_t>(r * columns() + h * what.dim)];
      const auto cached = [&](const std::vector<float>& from, std::int64_t key) {
        return &from[static_cast<std::size_t>((local_kv[static_cast<std::size_t>(h)] * kLength + key) *
                                              what.dim)];
      };
      std::vector<double> scores;
      for (std::int64_t k = begin; k <= r; ++k) {
        double score = 0;
        for (std::int64_t d = 0; d < what.dim; ++d) score += double{query[d]} * cached(keys, k)[d];
        score /= std::sqrt(static_cast<double>(what.dim));
        scores.push_back(what.softcap == 0 ? score : what.softcap * std::tanh(score / what.softcap));
      }
      double top = *std::max_element(scores.begin(), scores.end());
      const double sink = sinks[static_cast<std::size_t>(h)];
      if (what.sinks) top = std::max(top, sink);
      double total = what.sinks ? std::exp(sink - top) : 0;
      std::vector<double> sum(static_cast<std::size_t>(what.dim));
      for (std::size_t i = 0; i < scores.size(); ++i) {
        const double weight = std::exp(scores[i] - top);
        total += weight;
        for (std::int64_t d = 0; d < what.dim; ++d)
          sum[static_cast<std::size_t>(d)] +=
              weight * cached(values, begin + static_cast<std::int64_t>(i))[d];
      }
      for (std::int64_t d = 0; d < what.dim; ++d) {
        const double exact = sum[static_cast<std::size_t>(d)] / total;
        const double mine = as_float(row[static_cast<std::size_t>(h * what.dim + d)]);
        difference += (mine - exact) * (mine - exact);
        size += exact * exact;
      }
    }
    return std::sqrt(difference / size);
  }

  const Case what = std::get<0>(GetParam());
  const DType dtype = std::get<1>(GetParam());
  std::unique_ptr<Backend> gpu;
  std::vector<float> queries, keys, values, sinks;
  std::vector<std::int32_t> local_kv, positions, slots;
};

TEST_P(CudaAttention, ARowHasOneSetOfBits) {
  const auto prefill = run(all_rows(), positions, slots, true, false);
  std::vector<std::int64_t> some;
  for (const std::int64_t r : {0, 1, 15, 16, 63, 64, 65, 255, 256, 257, 511, 700, 1023, 1024, 1399})
    if (r < what.rows) some.push_back(r);
  const std::vector<std::int32_t> at(some.begin(), some.end());
  const std::vector<std::int32_t> in(some.size(), 0);
  const auto together = run(some, at, in, false, true);
  const auto apart = run(some, at, in, false, false);  // rows of one slot, as if each were a pass of its own
  for (std::size_t i = 0; i < some.size(); ++i) {
    const auto expected = row_of(prefill, some[i]);
    EXPECT_TRUE(row_of(together, static_cast<std::int64_t>(i)) == expected) << "decode, row " << some[i];
    EXPECT_TRUE(row_of(apart, static_cast<std::int64_t>(i)) == expected) << "few rows, row " << some[i];
    const auto alone = run({some[i]}, {at[i]}, {0}, true, true);
    EXPECT_TRUE(alone == expected) << "alone, row " << some[i];
    // Half a unit in the last place of the result, and what weights lose that are rounded likewise.
    EXPECT_LE(error(expected, some[i]), dtype == DType::float16 ? 5e-4 : 4e-3) << "row " << some[i];
  }
}

TEST_P(CudaAttention, SequencesOfOnePassDoNotMix) {
  // Rows 0 to 29 of slot 0, then rows 0 to 49 of slot 1: two sequences in the tiles of one pass.
  std::vector<std::int64_t> rows;
  std::vector<std::int32_t> at, in;
  for (std::int32_t i = 0; i < 80; ++i) {
    rows.push_back(i);
    at.push_back(i < 30 ? i : i - 30);
    in.push_back(i < 30 ? 0 : 1);
  }
  const auto both = run(rows, at, in, false, false);
  const std::vector<std::int64_t> first(rows.begin(), rows.begin() + 30),
      second(rows.begin() + 30, rows.end());
  const auto one = run(first, {at.begin(), at.begin() + 30}, {in.begin(), in.begin() + 30}, true, false);
  const auto two = run(second, {at.begin() + 30, at.end()}, {in.begin() + 30, in.end()}, true, false);
  for (std::int64_t i = 0; i < 80; ++i)
    EXPECT_TRUE(row_of(both, i) == (i < 30 ? row_of(one, i) : row_of(two, i - 30))) << "row " << i;
}

// What a sequence has not reached yet may hold anything.
TEST_P(CudaAttention, KeysBeyondTheRowAreNotRead) {
  const std::int64_t r = std::min<std::int64_t>(what.rows - 1, 300);
  const auto at = static_cast<std::int32_t>(r);
  const auto decode = run({r}, {at}, {0}, true, true);
  const auto prefill = run({r}, {at}, {0}, true, false);
  for (std::int64_t h = 0; h < what.kv_heads; ++h)
    for (std::int64_t i = (h * kLength + r + 1) * what.dim; i < (h + 1) * kLength * what.dim; ++i)
      keys[static_cast<std::size_t>(i)] = values[static_cast<std::size_t>(i)] = NAN;
  EXPECT_TRUE(run({r}, {at}, {0}, true, true) == decode);
  EXPECT_TRUE(run({r}, {at}, {0}, true, false) == prefill);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, CudaAttention,
    ::testing::Combine(::testing::Values(Case{"Llama", 4, 4, 128, 1400, 0, 0, false},
                                         Case{"Grouped", 8, 2, 64, 700, 0, 0, false},
                                         Case{"ManyHeadsOnOne", 20, 1, 128, 300, 0, 0, false},
                                         Case{"WideWindowed", 4, 2, 256, 700, 300, 50, false},
                                         Case{"Narrow", 3, 3, 24, 100, 7, 0, false},
                                         Case{"Sinks", 8, 1, 96, 600, 128, 0, true}),
                       ::testing::Values(DType::bfloat16, DType::float16)),
    [](const auto& one) {
      return std::string(std::get<0>(one.param).name) +
             (std::get<1>(one.param) == DType::float16 ? "Float16" : "BFloat16");
    });

}  // namespace
}  // namespace shardrift
