// Finishes prompts beside the computation: top lists and hashes, then the part file.
#pragma once
#include <functional>
#include <memory>

#include "record/writer.hpp"

namespace shardrift {

class Recorder {
 public:
  // top_k is clipped to the vocabulary; keep_logits false records only the top list and the hash.
  Recorder(const record::WriterOptions& options, const record::RunInfo& run, int top_k, bool keep_logits);
  ~Recorder();  // what was added still reaches the disk
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
  void add(record::PromptRecord prompt);  // blocks while two prompts wait; throws what an earlier write threw
  void finish();                          // returns when everything added is on disk; more may be added then

 private:
  struct State;
  std::function<std::unique_ptr<State>()> begin_;
  std::unique_ptr<State> state_;  // its threads, from an add() to finish()
};

}  // namespace shardrift
