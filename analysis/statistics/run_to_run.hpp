// How far runs of one configuration are from each other, of an engine that does not give the same bits twice,
// and what of a candidate's divergence exceeds that.
#pragma once
#include <string>
#include <vector>

#include "analysis/statistics/beside.hpp"

namespace shardrift::statistics {

struct RunToRun {
  NoiseFloor floor;  // the candidate against its repeats: rows compared, and those whose bits move
  // Mean KL(reference || candidate), mean KL(candidate || its repeats), and what of the first exceeds the
  // second.
  AboveFloor kl;
};

// candidate: the reference against it. repeats: the candidate against each.
RunToRun run_to_run(const analysis::Measurement& candidate,
                    const std::vector<const analysis::Measurement*>& repeats);

// "run-to-run: 2 repeats, the bits of 6 of 6 rows (100%) move, …", one line.
std::string run_to_run_text(const RunToRun& run);

}  // namespace shardrift::statistics
