// Prompts through the forward pass, by mode. Every rank of a replica runs the same loop over the same passes.
// Where layers are dealt to stages, the writing rank tells the others what was chosen; else each rank sees it
// on its own device, and may begin the next pass before it knows (run ahead).
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "model/forward.hpp"
#include "options/run_options.hpp"
#include "parallel/transport/mpi_world.hpp"
#include "parallel/transport/teller.hpp"
#include "record/writer.hpp"
#include "worker/flight.hpp"
#include "worker/hold.hpp"
#include "worker/recorder.hpp"

namespace shardrift {

struct Progress {
  std::int64_t prompts_done = 0;
  std::int64_t tokens = 0;  // rows recorded so far, prefill included
};

// Where a rank stands towards the others, as the loop needs to know it.
struct Role {
  const Place& place;
  int replica = 0;     // place.replica
  int writer = 0;      // rank of the replica that writes
  std::string device;  // what its records say: "NVIDIA H200 (host)"
  bool asynchronous = false;
};

class Generator {
 public:
  // recorder is null on ranks that do not write, and where nothing is recorded. replica: the ranks of this
  // replica.
  Generator(const RunOptions& options, const ModelConfig& config, Backend& backend, Forward& forward,
            const Communicator& replica, Role role, Recorder* recorder);

  // Groups of prompts (prompt_groups.hpp), as many in flight as the options say. Returns false where the
  // ranks stop; groups that are not through are then dropped.
  bool run(std::vector<std::span<const Job>> groups);

  // Passes are traced: what the ranks traced is recorded with each row. Null: nothing is.
  void trace_with(PassTraces* traces) { traces_ = traces; }
  // Passes of a model with mixtures: the routes are recorded with each prompt, …
  void collect_routes_with(RouteCollector* routes) { routes_ = routes; }
  // … and given, where they are replayed.
  void replay_with(RouteReplay* replay) { replay_ = replay; }
  // Asked once before each pass, by every rank of the replica; all get the same answer.
  void stop_where(std::function<bool()> stops_here) { stops_here_ = std::move(stops_here); }
  // Makes the trace that finds the operation whose output is not finite, once logits are not.
  void look_with(std::function<Trace()> make) { make_look_ = std::move(make); }
  // Told of every pass once it is taken, with its seconds (pass_clock.hpp).
  void on_pass(std::function<void(record::Phase, double seconds)> callback) {
    on_pass_ = std::move(callback);
  }
  // Told of every row that has logits, in the order of the passes, on the rank that writes.
  void on_row(std::function<void(std::span<const std::byte> logits, std::int32_t chosen)> callback) {
    on_row_ = std::move(callback);
  }
  void on_progress(std::function<void(const Progress&)> callback) { callback_ = std::move(callback); }
  const record::RunTiming& timing() const { return timing_; }
  std::int64_t decode_passes() const { return decode_passes_; }

 private:
  // generate.cpp: which pass comes when
  bool turn(Flight& flight);
  bool runs_ahead(const Flight& flight) const;
  bool open_group(Flight& flight);
  void complete(Flight& flight);
  void drain();
  std::string_view counted_end(const Sequence& sequence, std::int64_t rows, std::int64_t length) const;
  bool goes_on(const Sequence& sequence) const;
  void settle(Flight& flight, const Begun& begun);
  void finish(Sequence& sequence);
  [[noreturn]] void explain_not_finite(const Flight& flight, const Begun& begun, const SequenceRows& part);

  // passes.cpp: what is in a pass, and what becomes of it
  void begin_prefill(Flight& flight);
  void begin_decode(Flight& flight);
  void begin(Flight& flight, Begun&& made);
  void take(Flight& flight, Begun& begun);
  // Of a pipeline all stages send their routes when a pass begins: the last one waits for them.
  bool has_stages() const { return options_.plan.pipeline > 1; }
  std::int64_t most_rows(const Job& job) const;
  void take_row(Sequence& sequence, std::span<const std::byte> row, std::size_t i, record::Row where);

  const RunOptions& options_;
  const ModelConfig& config_;
  Backend& backend_;
  Forward& forward_;
  const Communicator& replica_;
  Role role_;
  Recorder* recorder_;
  Teller teller_;
  PassTraces* traces_ = nullptr;
  RouteCollector* routes_ = nullptr;
  RouteReplay* replay_ = nullptr;
  Hold hold_;
  std::function<void(const Progress&)> callback_ = [](const Progress&) {};
  std::function<void(record::Phase, double)> on_pass_ = [](record::Phase, double) {};
  std::function<void(std::span<const std::byte>, std::int32_t)> on_row_;
  std::function<Trace()> make_look_;
  std::function<bool()> stops_here_ = [] { return false; };
  std::deque<std::span<const Job>> waiting_;  // groups that have not begun
  std::vector<Flight> flights_;
  PassClock::Time pace_;  // when the pass before was done
  Progress progress_;
  record::RunTiming timing_;
  std::int32_t forward_calls_ = 0;
  std::int64_t decode_passes_ = 0;
};

}  // namespace shardrift
