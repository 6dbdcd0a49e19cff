// How fast weights are brought from the page cache to a device, and how fast this machine copies the same
// bytes without doing anything else.
//
//   bench_loading MODEL [DTYPE [SHARDS [THREADS [RANK RANKS [ROUNDS]]]]]
//
// memory: into fresh memory, as --device cpu. staged: into small buffers that are used again and again, as
// --device cuda fills those that the GPU copies from, and without a GPU.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "common/leave.hpp"
#include "model/shard_weights.hpp"
#include "tests/unit/model/counting_backend.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kStaging = std::size_t{4} << 20;

class Staged final : public CountingBackend {
 public:
  void* allocate(std::size_t bytes) override {
    place_.resize(std::max(place_.size(), bytes));
    return place_.data();
  }
  void release(void* /*data*/) noexcept override {}
  void write(void* /*device*/, std::size_t bytes, const std::function<void(std::byte*)>& fill) override {
    thread_local std::vector<std::byte> buffers[2];
    thread_local int turn = 0;
    auto& buffer = buffers[turn ^= 1];
    if (buffer.size() < bytes) buffer.resize(std::max(bytes, kStaging));
    fill(buffer.data());
  }
  void upload(void* /*device*/, const void* /*host*/, std::size_t /*bytes*/) override {}

 private:
  std::vector<std::byte> place_;
};

template <typename F>
void measured(const char* what, int rounds, std::size_t bytes, F&& once) {
  std::vector<double> rates;
  const std::clock_t cpu = std::clock();
  for (int round = 0; round < rounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    once();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    rates.push_back(static_cast<double>(bytes) / seconds / 1e9);
  }
  std::sort(rates.begin(), rates.end());
  const double cpu_seconds = static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC / rounds;
  fmt::print("{:32} {:6.2f} GB/s   ({:.2f} to {:.2f}, {} rounds)   {:6.2f} GB/s of CPU time\n", what,
             rates[rates.size() / 2], rates.front(), rates.back(), rounds,
             static_cast<double>(bytes) / cpu_seconds / 1e9);
}

int bench(const std::vector<std::string>& words) {
  const auto word = [&](std::size_t i, const char* other) { return i < words.size() ? words[i] : other; };
  const std::filesystem::path model = words.at(0);
  const auto checkpoint = Checkpoint::open(model);
  const ModelConfig config = read_model_config(model);
  Plan plan;
  plan.dtype = plan.logits_dtype = *from_name<DType>(word(1, "bfloat16"));
  plan.shards = std::stoi(word(2, "1"));
  const int threads = std::stoi(word(3, "1"));
  plan.tensor_parallel = std::stoi(word(5, "1"));
  if (plan.shards > 1) plan.reduction = reduction_from_text("linear");
  plan = validated(plan, static_cast<int>(config.layers), plan.tensor_parallel);
  const Place place = place_of(plan, std::stoi(word(4, "0")));
  const auto load = [&](Backend& backend) {
    return load_weights(
               checkpoint, config, plan, place, backend, [](double) {}, threads)
        .bytes;
  };
  const int rounds = std::stoi(word(6, "5"));
  Staged staged;
  const std::size_t bytes = load(staged);
  std::size_t stored = 0;
  for (const auto& tensor : checkpoint.stored()) stored += tensor.bytes;
  fmt::print("{}: {:.2f} GB stored, {:.2f} GB loaded, {}, {} threads\n", model.string(),
             static_cast<double>(stored) / 1e9, static_cast<double>(bytes) / 1e9, describe(plan), threads);
  std::vector<std::byte> buffer(kStaging, std::byte{1});
  [[maybe_unused]] volatile std::byte seen{};  // so that the compiler does not leave the copies out
  measured("copied, one thread, staged", rounds, stored, [&] {
    for (const auto& tensor : checkpoint.stored())
      for (std::size_t at = 0; at < tensor.bytes; at += kStaging) {
        std::memcpy(buffer.data(), tensor.data + at, std::min(kStaging, tensor.bytes - at));
        seen = buffer[kStaging / 2];
      }
  });
  measured("copied, one thread, memory", rounds, stored, [&] {
    for (const auto& tensor : checkpoint.stored()) {
      auto* const fresh = static_cast<std::byte*>(std::malloc(tensor.bytes));
      std::memcpy(fresh, tensor.data, tensor.bytes);
      seen = fresh[tensor.bytes / 2];
      std::free(fresh);
    }
  });
  measured("loaded, staged", rounds, bytes, [&] { load(staged); });
  measured("loaded, memory", rounds, bytes, [&] {
    const auto backend = make_cpu_backend(1);
    load(*backend);
  });
  return 0;
}

}  // namespace
}  // namespace shardrift

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print("usage: bench_loading MODEL [DTYPE [SHARDS [THREADS [RANK RANKS [ROUNDS]]]]]\n");
    return 64;
  }
  shardrift::leave(shardrift::bench({argv + 1, argv + argc}));
}
