#include "worker/bench_measure.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "common/error.hpp"
#include "common/progress.hpp"
#include "common/stop_request.hpp"

namespace shardrift {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kRound = 0.03;  // seconds of work between two looks at the clock
constexpr double kMostWorks = 500;
constexpr int kRounds = 3;

double timed(const World& world, Backend& backend, int works, const std::function<void()>& work) {
  stop_if_asked(world);
  backend.synchronize();
  world.barrier();
  const auto begin = Clock::now();
  for (int i = 0; i < works; ++i) work();
  backend.synchronize();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  progress::done();
  return seconds / works;
}

}  // namespace

void stop_if_asked(const World& world) {
  if (world.sum(stop_requested ? 1 : 0) > 0)
    throw AgreedError(ExitCode::interrupted, "stopped by a signal; nothing was written");
}

double seconds_of(const World& world, Backend& backend, const std::function<void()>& work) {
  timed(world, backend, 1, work);  // libraries make what they need
  const double once = world.maximum(timed(world, backend, 1, work));
  const auto works = static_cast<int>(std::clamp(std::ceil(kRound / once), 1.0, kMostWorks));
  double best = once;
  for (int round = 0; round < kRounds; ++round) best = std::min(best, timed(world, backend, works, work));
  return best;
}

PhaseSeconds time_phases(const World& world, Backend& backend, Forward& forward, const Plan& plan,
                         OnlyPhase& only, const Pass& pass, bool captured) {
  Landing landing(backend);
  forward.stage(pass, landing);
  only.reset();
  forward.compute();  // buffers and routes are those of a pass
  const auto of = [&](OnlyPhase phase) {
    only = phase;
    std::unique_ptr<CapturedWork> graph;
    if (captured) graph = backend.capture([&] { forward.compute(); });
    const double seconds = seconds_of(world, backend, [&] { graph ? graph->launch() : forward.compute(); });
    only.reset();
    return seconds;
  };
  PhaseSeconds seconds;
  seconds.pass = of(std::nullopt);
  for (const auto name : all_names<BenchPhase>()) {
    const auto phase = *from_name<BenchPhase>(name);
    if (phase == BenchPhase::collectives && plan.tensor_parallel == 1) continue;
    if (phase == BenchPhase::stages && plan.pipeline == 1) continue;
    seconds.alone[static_cast<std::size_t>(phase)] = of(phase);
  }
  return seconds;
}

double product_bandwidth(const World& world, Backend& backend, Device device, DType dtype) {
  constexpr std::int64_t kCols = 8192;
  const std::size_t bytes = std::size_t{device == Device::cuda ? 512U : 256U} << 20U;
  const auto rows = static_cast<std::int64_t>(bytes / size_of(dtype)) / kCols;
  const OwnedMatrix weight(backend, rows, kCols, storage_of(dtype));
  const OwnedMatrix x(backend, 1, kCols, storage_of(dtype));
  const OwnedMatrix out(backend, 1, rows, storage_of(dtype));
  // Pages that nobody wrote to may all be one page of zeros.
  constexpr std::size_t kPiece = std::size_t{1} << 20U;
  for (std::size_t at = 0; at < bytes; at += kPiece)
    backend.write(static_cast<std::byte*>(weight.view.data) + at, kPiece,
                  [](std::byte* to) { std::memset(to, 0, kPiece); });
  const Weight matrix(weight.view);
  const double seconds = seconds_of(world, backend, [&] { backend.linear(x.view, matrix, out.view); });
  return static_cast<double>(bytes) / seconds;
}

double through_stages(const World& world, const Plan& plan, const Place& place, int in_flight,
                      double seconds) {
  double all = 0;
  double slowest = 0;
  for (int stage = 0; stage < plan.pipeline; ++stage) {
    const double here = world.maximum(place.stage == stage ? seconds : 0);
    all += here;
    slowest = std::max(slowest, here);
  }
  return std::max(slowest, all / in_flight);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

}  // namespace shardrift
