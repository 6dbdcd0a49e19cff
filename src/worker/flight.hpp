// A group of prompts on its way through the model, and the passes of it that have begun.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/forward.hpp"
#include "record/record.hpp"
#include "worker/pass_clock.hpp"
#include "worker/prompts.hpp"
#include "worker/recorder.hpp"
#include "worker/routes.hpp"
#include "worker/traces.hpp"

namespace shardrift {

// One prompt.
struct Sequence {
  const Job* job = nullptr;  // null: the group has no prompt for this row of its decode passes
  record::PromptRecord record;
  Recorder::Rows logits;  // on their way to the disk
  RowTraces trace;
  TokenRoutes routes;
  std::int64_t length = 0;  // tokens fed by the passes begun so far
  std::int64_t asked = 0;   // rows with logits, of the passes begun so far
  std::int64_t rows = 0;    // of those that are taken, known to every rank
  std::int32_t chosen = 0;  // of the newest row taken
  bool done = true;         // … or never begun
};

// A sequence's rows of a pass.
struct SequenceRows {
  std::size_t sequence = 0;
  Range rows;               // of the pass
  Range wanted;             // of its rows with logits
  std::int64_t length = 0;  // of the sequence after the pass
  std::int32_t choice = 0;  // what the newest row chose, or kNotFinite; once it is taken
};

struct Begun {
  Pass pass;
  std::vector<SequenceRows> parts;
  std::vector<std::string> ids;  // of the prompts in the pass, in its order
  record::Phase phase = record::Phase::decode;
  std::int32_t call = 0;  // the forward pass's number in this run
  Landing* landing = nullptr;
  PassClock clock;
  bool taken = false;
};

struct Flight {
  std::int32_t first_slot = 0;  // of the KV cache
  std::vector<Sequence> sequences;
  std::vector<Range> prefills;  // passes of the group's prompts
  std::size_t prefilled = 0;    // begun so far
  std::deque<Begun> begun;      // oldest first; the second ran ahead of the first's results
  std::array<std::unique_ptr<Landing>, 2> landings;
  bool over() const;  // all prompts of the group have ended, and no pass is on its way
};

}  // namespace shardrift
