// bench_products [LAYERS]: Llama-2-7B's matrix products in bfloat16, random numbers. Of a decode step all of
// them in one CUDA graph, of prefills one after the other; ours (--products fixed) and the library's in
// turns, beside a plain read of the same bytes; then ours with weights that stay coded (--quantize; the
// head's do not). Medians.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "common/leave.hpp"
#include "common/text.hpp"
#include "model/backend.hpp"
#include "model/cuda/cuda_device.hpp"
#include "plain_read.hpp"
#include "weights/codings/numbers.hpp"
#include "weights/quantize.hpp"

namespace shardrift {
namespace {

using Clock = std::chrono::steady_clock;

constexpr DType kDType = DType::bfloat16;
constexpr std::int64_t kHidden = 4096, kInner = 11008, kVocabulary = 32000;

// What weights are: random numbers of both signs, from 2^-7 to 2^-3; or what codes stand for, by one scale.
constexpr float kScale = 0x1p-6F;
std::vector<std::uint16_t> random_words(std::int64_t count, WeightFormat format) {
  std::array<std::uint16_t, 256> numbers{};
  for (unsigned code = 0; code < 256; ++code) {
    const float value = format == WeightFormat::int8   ? static_cast<float>(std::max(code, 1U)) - 128
                        : format == WeightFormat::int4 ? static_cast<float>(code % 15) - 7
                        : format == WeightFormat::nf4  ? kNormalFloat[code % 16]
                                                       : kE4m3[code % 128 == 127 ? 0 : code];
    numbers[code] = bfloat16_from_float(value * kScale);
  }
  std::mt19937 generator(1);
  std::vector<std::uint16_t> words(static_cast<std::size_t>(count));
  for (auto& word : words)
    word = format == WeightFormat::plain ? static_cast<std::uint16_t>((generator() & 0x81FFU) + (120U << 7U))
                                         : numbers[generator() >> 24U];
  return words;
}

// Weights one after the other, as a model's lie, and the rows that they multiply.
class Model {
 public:
  Model(Backend& backend, std::int64_t layers, std::int64_t most_rows, Quantization kind, WeightFormat format)
      : backend_(backend),
        kind_(kind),
        format_(format),
        source_(backend, 1, kVocabulary * kHidden, kDType),
        x_(backend, most_rows, kInner, kDType),
        out_(backend, most_rows, kVocabulary, kDType) {
    const auto words = random_words(kVocabulary * kHidden, format);
    backend.upload(source_.view.data, words.data(), words.size() * sizeof(words[0]));
    backend.synchronize();
    for (std::int64_t i = 0; i < layers; ++i)
      for (const auto& [rows, cols] :
           {std::pair{3 * kHidden, kHidden}, {kHidden, kHidden}, {2 * kInner, kHidden}, {kHidden, kInner}})
        add(rows, cols, true);
    add(kVocabulary, kHidden, false);
    fill(x_.view);
    backend.synchronize();
  }
  std::int64_t products() const { return static_cast<std::int64_t>(weights_.size()); }
  double bytes() const { return bytes_; }
  double multiplications() const { return multiplications_; }  // of a row

  void multiply(Backend& backend, std::int64_t rows) const {
    for (const OwnedWeight& weight : weights_)
      backend.linear({x_.view.data, rows, weight.matrix.view.cols, kDType}, weight.view(),
                     {out_.view.data, rows, weight.matrix.view.rows, kDType});
  }
  void read(cudaStream_t stream) const {
    for (const OwnedWeight& weight : weights_)
      enqueue_plain_read(weight.matrix.view.data, weight.matrix.view.bytes(),
                         static_cast<unsigned*>(out_.view.data), stream);
  }

 private:
  void fill(const Matrix& m) {
    const std::int64_t rows = std::min(m.rows, kVocabulary * kHidden / m.cols);
    for (std::int64_t done = 0; done < m.rows; done += rows) {
      const std::int64_t these = std::min(rows, m.rows - done);
      backend_.copy_columns({source_.view.data, these, m.cols, kDType}, {0, m.cols},
                            {static_cast<std::byte*>(m.data) + done * m.cols * 2, these, m.cols, kDType}, 0);
    }
  }
  void add(std::int64_t rows, std::int64_t cols, bool coded) {
    OwnedWeight& weight = weights_.emplace_back();
    weight.matrix = {backend_, rows, cols, kDType};
    fill(weight.matrix.view);
    multiplications_ += static_cast<double>(weight.matrix.view.count());
    if (!coded || format_ == WeightFormat::plain) {
      bytes_ += static_cast<double>(weight.matrix.view.bytes());
      return;
    }
    weight.scales = {backend_, rows, scales_of_row(kind_, cols), DType::float32};
    const std::vector<float> scales(static_cast<std::size_t>(weight.scales.view.count()), kScale);
    backend_.upload(weight.scales.view.data, scales.data(), scales.size() * sizeof(float));
    bytes_ += static_cast<double>(backend_.code(weight, format_));
    if (weight.format != format_) throw failure("a matrix did not become codes");
  }

  Backend& backend_;
  Quantization kind_;
  WeightFormat format_;
  OwnedMatrix source_, x_, out_;
  std::vector<OwnedWeight> weights_;
  double bytes_ = 0;
  double multiplications_ = 0;
};

// Milliseconds of one of `calls`, the median of the rounds.
struct Candidate {
  std::string name;
  std::function<void()> call;
  std::vector<double> rounds;
  double median() {
    std::sort(rounds.begin(), rounds.end());
    return rounds[rounds.size() / 2];
  }
};

void time(Backend& backend, std::vector<Candidate>& candidates, int calls, int rounds) {
  for (int round = -1; round < rounds; ++round)  // one to warm up
    for (auto& one : candidates) {
      backend.synchronize();
      const auto begin = Clock::now();
      for (int call = 0; call < calls; ++call) one.call();
      backend.synchronize();
      if (round >= 0)
        one.rounds.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count() / calls);
    }
}

void run(int argc, char** argv) {
  const auto layers = argc == 2 ? number_from<std::int64_t>(argv[1]) : std::optional<std::int64_t>(32);
  if (argc > 2 || !layers || *layers < 1) throw usage_error("bench_products [LAYERS], LAYERS from 1");
  const CudaDevice device = select_cuda_device(0);
  // Both enqueue on a stream of their own: one runs at a time.
  const auto fixed = make_cuda_backend(false, Products::fixed);
  const auto library = make_cuda_backend(false);
  const Model model(*fixed, *layers, 1400, Quantization::none, WeightFormat::plain);
  std::printf("%s, %lld products of %.3f GB\n", device.name.c_str(), static_cast<long long>(model.products()),
              model.bytes() * 1e-9);

  double floor = 0;
  {
    const auto graph = fixed->capture([&] { model.read(static_cast<cudaStream_t>(cuda_stream(*fixed))); });
    std::vector<Candidate> candidates{{"plain read", [&] { graph->launch(); }, {}}};
    time(*fixed, candidates, 5, 5);
    floor = candidates[0].median();
    std::printf("plain read of the same matrices: %.3f ms, %.0f GB/s\n", floor, model.bytes() * 1e-6 / floor);
  }
  for (const std::int64_t rows : {1, 2, 4, 8, 16, 32, 64}) {
    std::vector<std::unique_ptr<CapturedWork>> graphs;
    std::vector<Candidate> candidates;
    for (Backend* backend : {fixed.get(), library.get()}) {
      model.multiply(*backend, rows);  // what a library sets up at its first call
      backend->synchronize();
      graphs.push_back(backend->capture([&] { model.multiply(*backend, rows); }));
      candidates.push_back({backend == fixed.get() ? "fixed" : "library",
                            [backend, graph = graphs.back().get()] {
                              graph->launch();
                              backend->synchronize();
                            },
                            {}});
    }
    time(*fixed, candidates, 1, 15);
    for (auto& one : candidates)
      std::printf("%lld rows, %s: %.3f ms, %.0f GB/s, %.1f%% of the plain read's\n",
                  static_cast<long long>(rows), one.name.c_str(), one.median(),
                  model.bytes() * 1e-6 / one.median(), 100 * floor / one.median());
  }
  for (const std::int64_t rows : {100, 300, 1400}) {
    std::vector<Candidate> candidates;
    for (Backend* backend : {fixed.get(), library.get()})
      candidates.push_back({backend == fixed.get() ? "fixed" : "library",
                            [&model, backend, rows] {
                              model.multiply(*backend, rows);
                              backend->synchronize();
                            },
                            {}});
    time(*fixed, candidates, 1, 5);
    for (auto& one : candidates)
      std::printf("%lld rows, %s: %.2f ms, %.0f TFLOP/s\n", static_cast<long long>(rows), one.name.c_str(),
                  one.median(),
                  2 * model.multiplications() * static_cast<double>(rows) * 1e-9 / one.median());
  }
  std::map<std::int64_t, double> plain_times;
  for (const auto& [kind, format] : {std::pair{Quantization::none, WeightFormat::plain},
                                     {Quantization::int8, WeightFormat::int8},
                                     {Quantization::fp8, WeightFormat::fp8},
                                     {Quantization::fp8_block, WeightFormat::fp8_block},
                                     {Quantization::int4, WeightFormat::int4},
                                     {Quantization::nf4, WeightFormat::nf4}}) {
    const Model coded(*fixed, std::min<std::int64_t>(*layers, 8), 300, kind, format);
    for (const std::int64_t rows : {1, 4, 8, 16, 300}) {
      coded.multiply(*fixed, rows);
      fixed->synchronize();
      const auto graph = fixed->capture([&] { coded.multiply(*fixed, rows); });
      std::vector<Candidate> candidates{{"", [&] { graph->launch(); }, {}}};
      time(*fixed, candidates, 4, 7);
      const double milliseconds = candidates[0].median();
      if (kind == Quantization::none) plain_times[rows] = milliseconds;
      std::printf("%s weights, %.3f GB, %lld rows: %.3f ms, %.0f GB/s, %.2f times plain's speed\n",
                  std::string(name_of(kind)).c_str(), coded.bytes() * 1e-9, static_cast<long long>(rows),
                  milliseconds, coded.bytes() * 1e-6 / milliseconds, plain_times[rows] / milliseconds);
    }
  }
}

}  // namespace
}  // namespace shardrift

int main(int argc, char** argv) {
  int code = 0;
  try {
    shardrift::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    code = 1;
  }
  shardrift::leave(code);
}
