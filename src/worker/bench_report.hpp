// What a bench measured, as a table, a line and JSON.
#pragma once
#include <string>
#include <vector>

#include "record/record.hpp"
#include "worker/bench_measure.hpp"
#include "worker/start_times.hpp"

namespace shardrift {

// Of one shape: of all ranks, in seconds of a step (or of a prefill pass).
struct BenchShape {
  record::Phase phase = record::Phase::decode;
  int length = 0;  // of the prompts
  double seconds = 0;
  std::vector<double> repeats;  // whose median it is
  double tokens_per_second = 0;
  PhaseSeconds phases;
  bool captured = false;    // the phases
  double weight_bytes = 0;  // of a replica
  double cache_bytes = 0;   // keys and values that a step reads; decode
  double floor_seconds = 0;
  std::string name() const;  // "decode_1400"
  double bytes_per_second() const { return (weight_bytes + cache_bytes) / seconds; }
  double between() const;  // what a pass takes beyond its phases
  double alone() const { return phases[BenchPhase::products] + phases[BenchPhase::collectives]; }
};

struct BenchResult {
  std::string plan, device, version, command, notes;
  double product_bandwidth = 0;  // bytes/s, of the slowest rank
  double copy_bandwidth = 0;
  double load_seconds = 0;
  int tokens = 0;
  bool stages = false;           // the plan has several
  std::vector<StartTime> start;  // to the first token
  std::vector<BenchShape> shapes;
};

std::string bench_table(const BenchResult& result);
std::string bench_line(const BenchResult& result);  // with its newline
std::string bench_json(const BenchResult& result);

}  // namespace shardrift
