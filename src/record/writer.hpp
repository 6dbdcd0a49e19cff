// Writing one run, durably: every finished prompt is a small HDF5 file of its own in OUT.h5.parts/ (written,
// closed, fsynced, renamed), and OUT.h5 is assembled from them at the end (docs/file-format.md).
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "record/record.hpp"

namespace shardrift::record {

struct WriterOptions {
  std::filesystem::path output;  // OUT.h5
  bool overwrite = false;        // else an existing output that cannot be resumed is refused
  int compression = 0;           // deflate level of the logits, 0 = none
};

// Called once, by rank 0, before weights are read: creates OUT.h5.parts/ and its header +run.h5, or finds
// that an earlier run with the same resume_key left finished prompts there (damaged ones are removed and run
// again). Throws usage_error (exists without --overwrite, another run's parts), failure (directory cannot be
// written). Returns the ids that are already recorded and need not run again. An OUT.h5 that is complete and
// has the same resume_key returns all its ids: nothing to do; with overwrite it runs again. With overwrite an
// old OUT.h5 stays until assemble() replaces it, and parts with the same resume_key are still resumed: a
// requeued job repeats its command.
std::set<std::string> prepare_output(const WriterOptions& options, const RunInfo& run);

// Used by every writing rank (one a replica). Writes in a background thread; add() blocks only when two
// finished prompts are already waiting. A failed write (disk full) is thrown from the next add() or finish().
class PartWriter {
 public:
  PartWriter(const WriterOptions& options, const RunInfo& run);
  ~PartWriter();
  PartWriter(const PartWriter&) = delete;
  PartWriter& operator=(const PartWriter&) = delete;
  void add(PromptRecord record);
  void finish();  // returns when everything is on disk

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Called once, by rank 0, after all writers finished: copies the parts into OUT.h5 (temporary name, fsync,
// rename, prompts ordered by index) and removes them. Does nothing where prepare_output() found a complete
// OUT.h5. Throws failure (disk full: the parts are kept).
void assemble(const WriterOptions& options, const RunInfo& run, const RunTiming& timing);

}  // namespace shardrift::record
