// Records prompts beside the computation: their rows as they come, hashes and top lists, then the part file.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "record/writer.hpp"

namespace shardrift {

class Recorder {
 public:
  using Rows = record::PartWriter::Rows;  // of a prompt that runs; dropped, nothing of it is recorded

  // top_k is clipped to the vocabulary; keep_logits false records only the top list and the hash.
  Recorder(const record::WriterOptions& options, const record::RunInfo& run, int top_k, bool keep_logits);
  // All block while too many bytes wait to be written, and throw what an earlier write threw.
  Rows begin(const std::string& id, std::int64_t at_most);     // rows that may come
  void append(Rows& rows, std::span<const std::byte> logits);  // one row, or several
  void add(record::PromptRecord prompt, Rows rows);            // the rest, without logits
  void add(record::PromptRecord prompt);                       // with all its logits
  void finish();  // returns when everything added is on disk; more may be added then
  // What the above waited for room in all, but for finish().
  double waited_seconds() const;

 private:
  record::PartWriter& writer();

  std::function<std::unique_ptr<record::PartWriter>()> begin_;
  std::unique_ptr<record::PartWriter> writer_;  // its threads, from the first prompt to finish()
  double waited_seconds_ = 0;                   // for writers that have finished
};

}  // namespace shardrift
