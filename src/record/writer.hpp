// Writing one run, durably: every finished prompt is a small HDF5 file of its own in OUT.h5.parts/ (written,
// closed, fsynced, renamed), and OUT.h5 is assembled from them at the end (docs/file-format.md).
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "record/record.hpp"

namespace shardrift::record {

// A record of a larger one is refused by every reader. 16 times the largest tokenizer of 2025.
inline constexpr std::int64_t kMaxVocabulary = 1 << 22;

struct WriterOptions {
  std::filesystem::path output;  // OUT.h5
  bool overwrite = false;        // else an existing output that cannot be resumed is refused
  int compression = 0;           // deflate level of the logits, 0 = none
  std::string owner = {};        // token of the OutputLock; empty: nobody else can be writing
  // What the record is to hold in the end. Empty: whatever is added.
  std::vector<Prompt> prompts = {};
  std::function<void(const std::string&)> note = {};  // told what the user should know
};
using Progress = std::function<void(double share)>;  // done, 0 to 1

// Throws where nothing can be written under the name: usage_error (a folder, something in the way), failure
// (no directory).
void require_room(const std::filesystem::path& output);
// Every file that a run makes or replaces: OUT.h5, its lock, its assembly, its parts.
std::vector<std::filesystem::path> files_of(const std::filesystem::path& output);

// Is there something that prepare_output() would have to tell from this run's own? Looks only.
bool has_earlier(const std::filesystem::path& output);

// Called once, by rank 0, which holds the OutputLock, before weights are read: creates OUT.h5.parts/ and its
// header +run.h5, or finds what an earlier run with the same resume_key left. Every part is verified; damaged
// ones, and those of other prompts, are removed and run again; a damaged header beside sound parts is
// rewritten. Returns the ids that are already recorded and need not run again. A complete OUT.h5 with the
// same resume_key returns all its ids: nothing to do; where it lacks prompts, or some are not what their hash
// says, the sound ones become parts again, and the others run. What was computed by other numerics
// (numerics.hpp) is another run's, too: mixed in, it would be told by nothing. With overwrite all run again:
// an old OUT.h5 stays until assemble() replaces it, and parts with the same resume_key are still resumed (a
// requeued job repeats its command). Throws usage_error (exists without --overwrite, another run's parts,
// something in the way), failure (directory cannot be written).
std::set<std::string> prepare_output(const WriterOptions& options, const RunInfo& run,
                                     const Progress& progress = {});

// What a PartWriter does with the rows beside writing them.
struct RowOptions {
  std::int64_t top_k = 0;   // of each row's most likely tokens; 0: the records bring their top lists along
  bool keep_logits = true;  // else they are hashed and not written
  int threads = 0;          // 0: one more than cores, as one waits for the disk; up to 8
  // Of rows that wait or are being worked on; whoever appends more waits until some are written. Beside them,
  // every prompt that runs has one block that is being filled (kRowBlockBytes, or a row if that is longer).
  std::size_t most_bytes = std::size_t{1} << 30U;
  std::function<void()> before_write = {};  // for tests, which hold the writer there
};
inline constexpr std::size_t kRowBlockBytes = std::size_t{4} << 20U;

// Used by every writing rank (one a replica), by one thread. Rows are hashed, ranked, checksummed and written
// by threads in the background, and parts flushed by another. A failed write (disk full) is thrown from the
// next call.
class PartWriter {
 private:
  struct State;
  struct Stream;

 public:
  // One prompt whose rows are coming. Dropped before end(): nothing of it is recorded.
  class Rows {
   public:
    Rows() = default;
    Rows(Rows&& other) noexcept;
    Rows& operator=(Rows&& other) noexcept;
    ~Rows();
    explicit operator bool() const { return stream_ != nullptr; }

   private:
    friend class PartWriter;
    Rows(std::shared_ptr<State> state, std::shared_ptr<Stream> stream);
    std::shared_ptr<State> state_;
    std::shared_ptr<Stream> stream_;
  };

  PartWriter(const WriterOptions& options, const RunInfo& run, RowOptions rows = {});
  ~PartWriter();  // what was added or ended still reaches the disk
  PartWriter(const PartWriter&) = delete;
  PartWriter& operator=(const PartWriter&) = delete;

  Rows begin(const std::string& id, std::int64_t at_most);
  // Whole rows of logits, raw words; copied. Waits while too many bytes do (RowOptions::most_bytes).
  void append(Rows& rows, std::span<const std::byte> words);
  // The rest of the record, without logits; with an empty hash, and no top list if one is made here.
  void end(Rows rows, PromptRecord record);
  void add(PromptRecord record);  // the three at once, or a record without logits
  void finish();                  // returns when everything is on disk

  struct Load {
    std::size_t bytes = 0;      // of rows that wait or are being worked on
    bool waits = false;         // whoever appends waits for room
    double waited_seconds = 0;  // it has done so in all
  };
  Load load() const;

 private:
  std::shared_ptr<State> state_;
};

// Verifies all parts, by rank 0, after all writers finished. Those that are damaged or not this run's are
// removed. Returns the ids of the prompts that have no sound part, and so have to run again. Empty where
// prepare_output() found a complete record.
std::vector<std::string> missing_prompts(const WriterOptions& options, const RunInfo& run,
                                         const Progress& progress = {});

// Called once, by rank 0, after missing_prompts() found none: copies the parts into OUT.h5 (temporary name,
// fsync, rename, prompts ordered by index) and removes them. Does nothing where prepare_output() found a
// complete OUT.h5. Throws failure (disk full: the parts are kept; a prompt without a part).
void assemble(const WriterOptions& options, const RunInfo& run, const RunTiming& timing,
              const Progress& progress = {});

}  // namespace shardrift::record
