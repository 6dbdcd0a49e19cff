// How fast a run went, from the times of all its passes. A machine's other load changes slowly, so that the
// passes of a minute say little about the next minute: the run is cut into blocks of passes in the order of
// time, and their spread is what one timing is worth.
#pragma once
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "record/reader.hpp"

namespace shardrift::analysis {

// Wall seconds for one row (token) of a pass, by the block medians. A decode pass costs about the same
// however many prompts it serves, so those of the most frequent size speak: of full batches, not of a last
// half-empty one.
struct Pace {
  std::int64_t passes = 0;  // timed; 0: nothing is known
  bool decode = true;       // false: of prefill passes, there were no others
  double seconds = 0;       // the median block
  double fastest = 0;
  double slowest = 0;
};

// Passes of a run in the order of time, each once however many prompts it served.
class TimedPasses {
 public:
  // Prompts in the order of the prompts file, which is that of time in each process that recorded them.
  void add(const record::PromptRecord& prompt);
  // Of the decode passes; of a run without any (score), of its prefill passes.
  Pace pace() const;

 private:
  struct Process {
    std::int64_t number = 0;                              // processes that have resumed this replica's run
    std::pair<std::int32_t, std::int32_t> first{-1, -1};  // pass and row in which its newest prompt began
  };
  std::map<int, Process> processes_;  // by replica
  struct Pass {
    std::int32_t rows = 0;
    double seconds = 0;  // of a row
  };
  // By process, then pass.
  using Passes = std::map<std::pair<std::int64_t, std::int32_t>, Pass>;
  std::map<int, Passes> decode_;  // by replica
  std::map<int, Passes> prefill_;
};

Pace pace_of(const record::Reader& run);

}  // namespace shardrift::analysis
