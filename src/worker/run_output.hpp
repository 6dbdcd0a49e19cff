// The record of a run, from its lock to the removal of the last part. Rank 0 does the work, all ranks learn
// of it.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/progress_line.hpp"
#include "options/run_options.hpp"
#include "parallel/transport/mpi_world.hpp"
#include "record/output_lock.hpp"
#include "record/writer.hpp"
#include "worker/prompts.hpp"

namespace shardrift {

class RunOutput {
 public:
  // Collective. Locks the output; throws where nothing can be written there, another run writes it, or it
  // would replace something that this run reads.
  RunOutput(const World& world, const RunOptions& options, const std::vector<Job>& jobs,
            ProgressLine& progress);

  // Is there something whose run has to be told from this one before it is touched? On every rank alike.
  bool has_earlier() const { return has_earlier_; }
  // Collective. Ids of prompts that need not run.
  std::set<std::string> prepare(const record::RunInfo& run);
  // Collective. Ids of prompts that have no sound part: they have to run again.
  std::set<std::string> missing(const record::RunInfo& run);
  void assemble(const record::RunInfo& run, const record::RunTiming& timing);  // rank 0
  const record::WriterOptions& options() const { return options_; }

 private:
  record::Progress shown(const char* what) const;

  const World& world_;
  ProgressLine& progress_;
  record::WriterOptions options_;
  std::optional<record::OutputLock> lock_;  // rank 0's
  bool has_earlier_ = false;
};

}  // namespace shardrift
