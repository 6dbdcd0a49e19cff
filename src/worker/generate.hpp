// Prompts through the forward pass, by mode. Every rank of a replica runs the same loop; the writing rank
// chooses tokens and tells the others.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "model/forward.hpp"
#include "options/run_options.hpp"
#include "parallel/transport/mpi_world.hpp"
#include "record/writer.hpp"
#include "worker/hold.hpp"
#include "worker/prompts.hpp"
#include "worker/recorder.hpp"
#include "worker/routes.hpp"
#include "worker/traces.hpp"

namespace shardrift {

struct Progress {
  std::int64_t prompts_done = 0;
  std::int64_t tokens = 0;  // rows recorded so far, prefill included
};

class Generator {
 public:
  // recorder is null on ranks that do not write. replica: the ranks of this replica, writer_rank among them
  // writes.
  Generator(const RunOptions& options, const ModelConfig& config, Forward& forward,
            const Communicator& replica, int writer_rank, Recorder* recorder, std::string device_label,
            int replica_index);

  // A group of prompts (prompt_groups.hpp). Returns false where the ranks stop; the group is then dropped.
  bool run_group(std::span<const Job> jobs);

  // Passes are traced: what the ranks traced is recorded with each row. Null: nothing is.
  void trace_with(PassTraces* traces) { traces_ = traces; }
  // Passes of a model with mixtures: the routes are recorded with each prompt, …
  void collect_routes_with(RouteCollector* routes) { routes_ = routes; }
  // … and given, where they are replayed.
  void replay_with(RouteReplay* replay) { replay_ = replay; }
  // Asked once before each choice of tokens, by every rank of the replica; all get the same answer.
  void stop_where(std::function<bool()> stops_here) { stops_here_ = std::move(stops_here); }
  // Makes the trace that finds the operation whose output is not finite, once logits are not.
  void look_with(std::function<Trace()> make) { make_look_ = std::move(make); }
  void on_progress(std::function<void(const Progress&)> callback) { callback_ = std::move(callback); }
  const record::RunTiming& timing() const { return timing_; }
  std::int64_t decode_passes() const { return decode_passes_; }

 private:
  struct Sequence;  // one prompt in flight
  void prefill(std::span<Sequence> members, std::int32_t first_slot);
  void decode(std::vector<Sequence>& sequences, const std::vector<std::int32_t>& fed);
  void take_row(Sequence& sequence, std::span<const std::byte> row, std::size_t i, const record::Row& where);
  bool share(std::vector<Sequence>& sequences, std::vector<std::int32_t>& next);
  std::int64_t most_rows(const Job& job) const;
  void settle(Sequence& sequence, std::int32_t chosen) const;
  void finish(Sequence& sequence);
  [[noreturn]] void explain_not_finite(const Sequence& sequence);
  double timed_pass(const Pass& pass, std::span<const std::byte>& logits);

  const RunOptions& options_;
  const ModelConfig& config_;
  Forward& forward_;
  const Communicator& replica_;
  int writer_rank_;
  Recorder* recorder_;
  PassTraces* traces_ = nullptr;
  RouteCollector* routes_ = nullptr;
  RouteReplay* replay_ = nullptr;
  std::string device_label_;
  int replica_index_;
  Hold hold_;
  std::function<void(const Progress&)> callback_ = [](const Progress&) {};
  std::function<Trace()> make_look_;
  std::function<bool()> stops_here_ = [] { return false; };
  Progress progress_;
  record::RunTiming timing_;
  std::int32_t forward_calls_ = 0;
  std::int64_t decode_passes_ = 0;
};

}  // namespace shardrift
