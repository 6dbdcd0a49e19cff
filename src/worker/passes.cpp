// What is in a pass of a flight, and what becomes of its results.
#include <algorithm>

#include "common/progress.hpp"
#include "worker/generate.hpp"

namespace shardrift {
namespace {
using Clock = std::chrono::steady_clock;
}

// Several prompts' rows one after another; of each, logits of the last row, in score mode of all.
void Generator::begin_prefill(Flight& flight) {
  const Range members = flight.prefills[flight.prefilled++];
  const bool score = options_.mode == Mode::score;
  Begun begun;
  begun.phase = record::Phase::prefill;
  Pass& pass = begun.pass;
  for (auto member = members.begin; member < members.end; ++member) {
    Sequence& sequence = flight.sequences[static_cast<std::size_t>(member)];
    const auto& tokens = sequence.job->prompt.tokens;
    SequenceRows part{static_cast<std::size_t>(member), {pass.rows(), 0}, {}, 0, 0};
    part.length = static_cast<std::int64_t>(tokens.size());
    part.rows.end = part.rows.begin + part.length;
    const auto slot = flight.first_slot + static_cast<std::int32_t>(score ? member - members.begin : member);
    pass.tokens.insert(pass.tokens.end(), tokens.begin(), tokens.end());
    pass.slots.insert(pass.slots.end(), tokens.size(), slot);
    part.wanted.begin = static_cast<std::int64_t>(pass.wanted.size());
    for (std::int64_t position = 0; position < part.length; ++position) {
      pass.positions.push_back(static_cast<std::int32_t>(position));
      if (replay_ != nullptr) replay_->add_row(sequence.job->prompt.id, position);
      if (score || position + 1 == part.length)
        pass.wanted.push_back(static_cast<std::int32_t>(part.rows.begin + position));
    }
    part.wanted.end = static_cast<std::int64_t>(pass.wanted.size());
    sequence.length = part.length;
    sequence.asked = part.wanted.size();
    begun.ids.push_back(sequence.job->prompt.id);
    begun.parts.push_back(part);
  }
  begin(flight, std::move(begun));
}

// One row a sequence. Of those that have ended, or end by count with what is on its way, a row of no prompt.
void Generator::begin_decode(Flight& flight) {
  const Begun* ahead_of = flight.begun.empty() ? nullptr : &flight.begun.back();
  Begun begun;
  Pass& pass = begun.pass;
  pass.decodes = true;
  for (std::size_t i = 0; i < flight.sequences.size(); ++i) {
    Sequence& sequence = flight.sequences[i];
    const auto row = static_cast<std::int64_t>(i);
    if (sequence.job != nullptr) begun.ids.push_back(sequence.job->prompt.id);
    const bool goes_on = this->goes_on(sequence);
    std::int32_t token = 0;
    if (goes_on && options_.mode == Mode::follow) {
      token = sequence.job->fed[static_cast<std::size_t>(sequence.asked - 1)];
    } else if (goes_on && ahead_of != nullptr) {
      const auto newest = std::find_if(ahead_of->parts.begin(), ahead_of->parts.end(),
                                       [&](const SequenceRows& part) { return part.sequence == i; });
      token = static_cast<std::int32_t>(-newest->wanted.end);  // -1 - its index
    } else if (goes_on) {
      token = sequence.chosen;
    }
    pass.tokens.push_back(token);
    pass.positions.push_back(goes_on ? static_cast<std::int32_t>(sequence.length) : 0);
    pass.slots.push_back(flight.first_slot + static_cast<std::int32_t>(i));
    pass.wanted.push_back(static_cast<std::int32_t>(i));
    if (replay_ != nullptr)
      replay_->add_row(goes_on ? sequence.job->prompt.id : std::string(), pass.positions.back());
    if (!goes_on) continue;
    ++sequence.length;
    ++sequence.asked;
    begun.parts.push_back({i, {row, row + 1}, {row, row + 1}, sequence.length, 0});
  }
  begin(flight, std::move(begun));
}

void Generator::begin(Flight& flight, Begun&& made) {
  Begun& begun = flight.begun.emplace_back(std::move(made));
  if (replay_ != nullptr) begun.pass.routes = replay_->take();
  begun.call = forward_calls_++;
  // The one that the pass before does not use.
  const bool used = flight.begun.front().landing == flight.landings[0].get();
  begun.landing = flight.landings[used ? 1 : 0].get();
  begun.clock.began(Clock::now());
  forward_.begin(begun.pass, *begun.landing);
  if (!role_.asynchronous) begun.clock.computed(Clock::now());
  if (traces_ != nullptr) traces_->collect();
  if (routes_ != nullptr && has_stages())
    routes_->collect(begun.pass.rows(), forward_.end(*begun.landing).routes);
  // What is known already is told at once: other stages may be waiting for it. (Not where the pass before is
  // not settled, which this one ran ahead of.)
  const bool known = !role_.asynchronous || traces_ != nullptr || (routes_ != nullptr && has_stages());
  if (known && role_.place.last_stage && flight.begun.size() == 1) take(flight, begun);
}

// Rows to their prompts' records; choices to whoever has not seen them.
void Generator::take(Flight& flight, Begun& begun) {
  const auto outcome = forward_.end(*begun.landing);
  if (routes_ != nullptr && !has_stages()) routes_->collect(begun.pass.rows(), outcome.routes);
  progress::at("choosing tokens");
  const double seconds = begun.clock.taken(Clock::now(), pace_);
  begun.taken = true;
  const bool prefill = begun.phase == record::Phase::prefill;
  if (prefill) {
    timing_.prefill_seconds += seconds;
    timing_.prefill_tokens += begun.pass.rows();
  } else {
    timing_.decode_seconds += seconds;
    ++decode_passes_;
  }
  on_pass_(begun.phase, seconds);
  const std::size_t row_bytes = outcome.logits.size() / begun.pass.wanted.size();
  for (SequenceRows& part : begun.parts) {
    Sequence& sequence = flight.sequences[part.sequence];
    if (sequence.done) continue;  // ended with the pass before, which this one ran ahead of
    if (!prefill) ++timing_.decode_tokens;
    if (begun.ids.size() > 1)
      (prefill ? sequence.record.prefilled_with : sequence.record.decoded_with) = begun.ids;
    if (routes_ != nullptr && recorder_ != nullptr) routes_->append(part.rows, sequence.routes);
    for (auto i = part.wanted.begin; i < part.wanted.end; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const auto row = static_cast<std::size_t>(begun.pass.wanted[at]);
      ++sequence.rows;
      ++progress_.tokens;
      if (outcome.chosen.empty() || part.choice == kNotFinite) continue;
      part.choice = outcome.chosen[at];
      if (outcome.logits.empty() || part.choice == kNotFinite) continue;  // the run ends by it
      const auto logits = outcome.logits.subspan(at * row_bytes, row_bytes);
      if (on_row_) on_row_(logits, part.choice);
      if (recorder_ == nullptr) continue;
      take_row(sequence, logits, at,
               {begun.pass.tokens[row], begun.pass.positions[row], part.choice, begun.call,
                static_cast<std::int32_t>(begun.pass.rows()), static_cast<std::int32_t>(row), begun.phase,
                seconds});
    }
  }
  if (options_.plan.pipeline > 1) {
    std::vector<std::int32_t> choices;
    for (const SequenceRows& part : begun.parts) choices.push_back(part.choice);
    teller_.tell(choices);
    for (std::size_t i = 0; i < choices.size(); ++i) begun.parts[i].choice = choices[i];
  }
  for (const SequenceRows& part : begun.parts)
    if (auto& sequence = flight.sequences[part.sequence]; !sequence.done) sequence.chosen = part.choice;
}

// Rows that may be recorded of a prompt.
std::int64_t Generator::most_rows(const Job& job) const {
  const auto tokens = static_cast<std::int64_t>(job.prompt.tokens.size());
  if (options_.mode == Mode::score) return tokens;
  if (options_.mode == Mode::follow) return static_cast<std::int64_t>(job.fed.size()) + 1;
  return std::clamp<std::int64_t>(config_.max_positions - tokens + 1, 1,
                                  std::max<std::int64_t>(1, options_.max_new_tokens));
}

// i: which of the pass's rows with logits it is.
void Generator::take_row(Sequence& sequence, std::span<const std::byte> row, std::size_t i,
                         record::Row where) {
  sequence.record.rows.push_back(where);
  if (!sequence.logits) sequence.logits = recorder_->begin(sequence.job->prompt.id, most_rows(*sequence.job));
  recorder_->append(sequence.logits, row);
  if (traces_ != nullptr) traces_->append(i, sequence.trace);
  callback_(progress_);
}

}  // namespace shardrift
