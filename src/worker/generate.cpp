#include "worker/generate.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "common/error.hpp"
#include "common/progress.hpp"
#include "common/stop_request.hpp"
#include "parallel/plan/prompt_groups.hpp"

namespace shardrift {
namespace {

std::string words(double value) {
  if (std::isnan(value)) return "NaN";
  return value > 0 ? "infinite" : "-infinite";
}

}  // namespace

Generator::Generator(const RunOptions& options, const ModelConfig& config, Backend& backend, Forward& forward,
                     const Communicator& replica, Role role, Recorder* recorder)
    : options_(options),
      config_(config),
      backend_(backend),
      forward_(forward),
      replica_(replica),
      role_(std::move(role)),
      recorder_(recorder),
      teller_(replica, role_.writer),
      hold_(options.output) {}

// Flights take turns, in the same order on every rank of the replica: what happens at a turn follows from
// counts and from tokens that all of them know by then. A stage is thus at one flight's pass while the next
// stage is at another's.
bool Generator::run(std::vector<std::span<const Job>> groups) {
  waiting_.assign(groups.begin(), groups.end());
  const auto flights = std::min(static_cast<std::size_t>(options_.in_flight), groups.size());
  flights_.clear();
  for (std::size_t i = 0; i < flights; ++i) {
    Flight& flight = flights_.emplace_back();
    flight.first_slot = options_.mode == Mode::score ? 0 : static_cast<std::int32_t>(i) * options_.plan.batch;
    for (auto& landing : flight.landings) landing = std::make_unique<Landing>(backend_);
  }
  bool stopped = false;
  const auto idle = [](const Flight& flight) { return flight.over(); };
  while (!stopped && !(waiting_.empty() && std::all_of(flights_.begin(), flights_.end(), idle)))
    for (auto flight = flights_.begin(); flight != flights_.end() && !stopped; ++flight)
      stopped = !turn(*flight);
  drain();
  teller_.finish();
  flights_.clear();
  return !stopped;
}

// Completes the flight's oldest pass and begins its next one. False: all stop here.
bool Generator::turn(Flight& flight) {
  if (runs_ahead(flight)) {
    if (stops_here_()) return false;
    begin_decode(flight);
  }
  if (!flight.begun.empty()) complete(flight);
  if (!flight.begun.empty()) return true;
  if (flight.over() && !open_group(flight)) return true;
  progress::at("choosing tokens");
  if (stops_here_()) return false;
  if (flight.prefilled < flight.prefills.size()) {
    begin_prefill(flight);
  } else {
    begin_decode(flight);
  }
  return true;
}

// Whether the flight's next pass can begin before the one that is on its way is known: its tokens lie on the
// device, and no prompt's end hangs on them but by an end-of-sequence token, whose row is then dropped.
bool Generator::runs_ahead(const Flight& flight) const {
  const bool may =
      options_.run_ahead == RunAhead::on || (options_.run_ahead == RunAhead::automatic && role_.asynchronous);
  if (!may || options_.plan.pipeline > 1 || options_.mode == Mode::score) return false;
  if (flights_.size() > 1) return false;  // the pass before is another flight's
  if (traces_ != nullptr) return false;   // they are collected pass by pass
  // A row after its end goes to other experts than one of no prompt, whose products' rows may change bits.
  if (routes_ != nullptr && options_.plan.products != Products::fixed) return false;
  if (flight.begun.size() != 1 || flight.prefilled < flight.prefills.size()) return false;
  const Begun& begun = flight.begun.front();
  // Tokens of several prefill passes: the device has the last one's alone.
  if (begun.phase == record::Phase::prefill && flight.prefills.size() > 1) return false;
  return std::any_of(begun.parts.begin(), begun.parts.end(),
                     [&](const SequenceRows& part) { return goes_on(flight.sequences[part.sequence]); });
}

// The next group, if there is one.
bool Generator::open_group(Flight& flight) {
  if (replay_ != nullptr)
    for (const auto& sequence : flight.sequences)
      if (sequence.job != nullptr) replay_->close(sequence.job->prompt.id);
  flight.sequences.clear();
  flight.prefills.clear();
  flight.prefilled = 0;
  if (waiting_.empty()) return false;
  const auto jobs = waiting_.front();
  waiting_.pop_front();
  // A decode pass always has `batch` rows: a prompt's bits do not depend on whether its neighbours have
  // ended.
  flight.sequences.resize(options_.mode == Mode::score ? jobs.size()
                                                       : static_cast<std::size_t>(options_.plan.batch));
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    Sequence& sequence = flight.sequences[i];
    sequence.job = &jobs[i];
    sequence.done = false;
    sequence.record.prompt = jobs[i].prompt;
    if (replay_ != nullptr) replay_->open(jobs[i].prompt.id);
  }
  flight.prefills = prefill_passes(options_.plan, static_cast<std::int64_t>(jobs.size()));
  return true;
}

void Generator::complete(Flight& flight) {
  Begun begun = std::move(flight.begun.front());
  flight.begun.pop_front();
  if (!begun.taken) take(flight, begun);
  settle(flight, begun);
}

// Passes that have begun end on every rank, in the order they began.
void Generator::drain() {
  while (true) {
    Flight* oldest = nullptr;
    for (Flight& flight : flights_)
      if (!flight.begun.empty() &&
          (oldest == nullptr || flight.begun.front().call < oldest->begun.front().call))
        oldest = &flight;
    if (oldest == nullptr) return;
    complete(*oldest);
  }
}

// Why a sequence ends by what every rank can count, once it has so many rows with logits and tokens fed;
// empty: it does not.
std::string_view Generator::counted_end(const Sequence& sequence, std::int64_t rows,
                                        std::int64_t length) const {
  switch (options_.mode) {
    case Mode::score:
      return "given";
    case Mode::follow:
      return rows > static_cast<std::int64_t>(sequence.job->fed.size()) ? "given" : "";
    default:
      if (rows >= options_.max_new_tokens) return "length";
      return length >= config_.max_positions ? "context" : "";
  }
}

// Whether it has a row in the next pass, as far as that can be known with what is on its way.
bool Generator::goes_on(const Sequence& sequence) const {
  return !sequence.done && counted_end(sequence, sequence.asked, sequence.length).empty();
}

// Settles which prompts have ended, alike on all ranks, once a pass's tokens are known to all.
void Generator::settle(Flight& flight, const Begun& begun) {
  for (const SequenceRows& part : begun.parts) {
    Sequence& sequence = flight.sequences[part.sequence];
    if (sequence.done) continue;
    if (part.choice == kNotFinite) explain_not_finite(flight, begun, part);
    std::string& stop = sequence.record.stop;
    if (options_.mode == Mode::greedy && !options_.ignore_eos &&
        std::find(config_.eos_ids.begin(), config_.eos_ids.end(), part.choice) != config_.eos_ids.end())
      stop = "eos";
    else
      stop = counted_end(sequence, sequence.rows, part.length);
    sequence.done = !stop.empty();
    if (sequence.done) finish(sequence);
  }
  // What ran ahead was given places, not tokens.
  for (Begun& next : flight.begun)
    for (const SequenceRows& part : next.parts)
      if (auto& token = next.pass.tokens[static_cast<std::size_t>(part.rows.begin)]; token < 0)
        token = flight.sequences[part.sequence].chosen;
}

// Every rank of the replica runs the sequence's pass again, with a look at each operation's output; keys and
// values are written over with themselves. The writing rank says what was found and ends the run.
void Generator::explain_not_finite(const Flight& flight, const Begun& begun, const SequenceRows& part) {
  progress::at("looking for what is not finite");
  const Sequence& sequence = flight.sequences[part.sequence];
  Trace look = make_look_();
  look.look_at(part.rows);  // the pass may have rows of other sequences
  forward_.trace_to(&look);
  forward_.run(begun.pass);
  const auto found = look.not_finite().value_or(NotFinite{});
  // Where the operation stands among all, its row, and what it holds.
  std::array<double, 3> mine{-1, static_cast<double>(found.row), found.value};
  if (look.not_finite()) mine[0] = static_cast<double>(record::index_of(found.point, config_.layers));
  if (replica_.rank() != role_.writer) {
    replica_.send(std::as_bytes(std::span(mine)), role_.writer);
    while (true) replica_.barrier();  // the writing rank ends this one too
  }
  auto first = mine;
  for (int rank = 0; rank < replica_.size(); ++rank) {
    auto theirs = mine;
    if (rank != role_.writer) replica_.receive(std::as_writable_bytes(std::span(theirs)), rank);
    if (theirs[0] >= 0 && (first[0] < 0 || theirs[0] < first[0])) first = theirs;
  }
  const auto where = fmt::format("prompt '{}', position {}", sequence.job->prompt.id, part.length - 1);
  if (first[0] < 0)
    throw failure("{}: the logits are not finite, but are when the pass is run again: the device errs",
                  where);
  const auto point = record::point_at(static_cast<std::int64_t>(first[0]), config_.layers);
  const auto layer =
      record::in_layer(point.operation) ? fmt::format(" of layer {}", point.layer) : std::string();
  const auto dtype = options_.plan.dtype;
  throw failure(
      "{}: the logits are not finite: first {}{}, which is {} (row {} of the pass): the weights, or {} "
      "arithmetic on them, overflow{}",
      where, name_of(point.operation), layer, words(first[2]), static_cast<std::int64_t>(first[1]),
      name_of(dtype), dtype == DType::float16 ? ": use --dtype bfloat16 or float32" : "");
}

void Generator::finish(Sequence& sequence) {
  ++progress_.prompts_done;
  if (recorder_ == nullptr) return;
  if (traces_ != nullptr) traces_->finish(sequence.trace, sequence.record);
  if (routes_ != nullptr) routes_->finish(sequence.routes, sequence.record);
  sequence.record.device = role_.device;
  sequence.record.replica = role_.replica;
  recorder_->add(std::move(sequence.record), std::move(sequence.logits));
  callback_(progress_);
  hold_.after(sequence.job->prompt.id, stop_requested);
}

}  // namespace shardrift
