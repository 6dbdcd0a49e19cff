#include "worker/generate.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <memory>
#include <numeric>

#include "common/argmax.hpp"
#include "common/error.hpp"
#include "common/progress.hpp"
#include "common/stop_request.hpp"
#include "parallel/plan/prompt_groups.hpp"

namespace shardrift {

struct Generator::Sequence {
  const Job* job = nullptr;
  record::PromptRecord record;
  Recorder::Rows logits;
  RowTraces trace;
  TokenRoutes routes;
  std::int64_t length = 0;  // tokens fed so far
  std::int64_t rows = 0;    // recorded so far, known to every rank
  std::int32_t chosen = 0;  // of the newest row; on other ranks than the writer only after share()
  bool done = false;
  std::shared_ptr<const Pass> pass;  // of the newest row
  Range pass_rows;                   // its own in that pass
};

namespace {

constexpr std::int32_t kNotFinite = -2;  // told in the place of a token

std::string words(double value) {
  if (std::isnan(value)) return "NaN";
  return value > 0 ? "infinite" : "-infinite";
}

}  // namespace

Generator::Generator(const RunOptions& options, const ModelConfig& config, Forward& forward,
                     const Communicator& replica, int writer_rank, Recorder* recorder,
                     std::string device_label, int replica_index)
    : options_(options),
      config_(config),
      forward_(forward),
      replica_(replica),
      writer_rank_(writer_rank),
      recorder_(recorder),
      device_label_(std::move(device_label)),
      replica_index_(replica_index),
      hold_(options.output) {}

bool Generator::run_group(std::span<const Job> jobs) {
  // A decode pass always has `batch` rows: a prompt's bits do not depend on whether its neighbours have
  // ended.
  std::vector<Sequence> sequences(
      options_.mode == Mode::score ? jobs.size() : static_cast<std::size_t>(options_.plan.batch));
  if (replay_ != nullptr) replay_->forget();
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    Sequence& sequence = sequences[i];
    sequence.done = i >= jobs.size();
    if (sequence.done) continue;
    sequence.job = &jobs[i];
    sequence.record.prompt = jobs[i].prompt;
    if (replay_ != nullptr) replay_->open(jobs[i].prompt.id);
  }
  for (const Range& pass : prefill_passes(options_.plan, static_cast<std::int64_t>(jobs.size()))) {
    const auto first = static_cast<std::size_t>(pass.begin);
    prefill(std::span(sequences).subspan(first, static_cast<std::size_t>(pass.size())),
            options_.mode == Mode::score ? 0 : static_cast<std::int32_t>(pass.begin));
  }
  std::vector<std::int32_t> next;
  while (share(sequences, next)) {
    if (std::all_of(sequences.begin(), sequences.end(), [](const Sequence& s) { return s.done; }))
      return true;
    decode(sequences, next);
  }
  return false;
}

// The writing rank's choices to every rank of the replica; settles which prompts have ended, alike on all
// ranks. next[slot] is the token to feed. False: all stop here.
bool Generator::share(std::vector<Sequence>& sequences, std::vector<std::int32_t>& next) {
  progress::at("choosing tokens");
  if (stops_here_()) return false;
  std::vector<std::int32_t> message(sequences.size());
  for (std::size_t i = 0; i < sequences.size(); ++i) message[i] = sequences[i].chosen;
  replica_.broadcast(message, writer_rank_);
  next.assign(sequences.size(), 0);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    Sequence& sequence = sequences[i];
    if (sequence.done) continue;
    if (message[i] == kNotFinite) explain_not_finite(sequence);
    settle(sequence, message[i]);
    if (sequence.done) {
      finish(sequence);
    } else {
      const auto step = static_cast<std::size_t>(sequence.rows - 1);
      next[i] = options_.mode == Mode::follow ? sequence.job->fed[step] : message[i];
    }
  }
  return true;
}

void Generator::settle(Sequence& sequence, std::int32_t chosen) const {
  std::string& stop = sequence.record.stop;
  if (options_.mode == Mode::score) {
    stop = "given";
  } else if (options_.mode == Mode::follow) {
    if (sequence.rows > static_cast<std::int64_t>(sequence.job->fed.size())) stop = "given";
  } else if (!options_.ignore_eos &&
             std::find(config_.eos_ids.begin(), config_.eos_ids.end(), chosen) != config_.eos_ids.end()) {
    stop = "eos";
  } else if (sequence.rows >= options_.max_new_tokens) {
    stop = "length";
  } else if (sequence.length >= config_.max_positions) {
    stop = "context";
  }
  sequence.done = !stop.empty();
}

double Generator::timed_pass(const Pass& pass, std::span<const std::byte>& logits) {
  const auto begin = std::chrono::steady_clock::now();
  logits = forward_.run(pass);
  ++forward_calls_;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (traces_ != nullptr) traces_->collect();
  if (routes_ != nullptr) routes_->collect(pass.rows());
  return seconds;
}

// Several prompts' rows one after another; of each, logits of the last row, in score mode of all.
void Generator::prefill(std::span<Sequence> members, std::int32_t first_slot) {
  const auto made = std::make_shared<Pass>();
  Pass& pass = *made;
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < members.size(); ++i) {
    Sequence& sequence = members[i];
    const auto& tokens = sequence.job->prompt.tokens;
    sequence.pass = made;
    sequence.pass_rows = {pass.rows(), pass.rows() + static_cast<std::int64_t>(tokens.size())};
    sequence.length = sequence.pass_rows.size();
    const auto first = static_cast<std::int32_t>(sequence.pass_rows.begin);
    const auto last = static_cast<std::int32_t>(sequence.pass_rows.end - 1);
    pass.tokens.insert(pass.tokens.end(), tokens.begin(), tokens.end());
    pass.slots.insert(pass.slots.end(), tokens.size(), first_slot + static_cast<std::int32_t>(i));
    for (std::int32_t row = first; row <= last; ++row) {
      pass.positions.push_back(row - first);
      if (replay_ != nullptr) replay_->add_row(sequence.job->prompt.id, row - first);
      if (options_.mode == Mode::score || row == last) pass.wanted.push_back(row);
    }
    ids.push_back(sequence.job->prompt.id);
  }
  if (replay_ != nullptr) pass.routes = replay_->take();
  std::span<const std::byte> logits;
  const double seconds = timed_pass(pass, logits);
  if (routes_ != nullptr && recorder_ != nullptr)
    for (auto& member : members) routes_->append(member.pass_rows, member.routes);
  timing_.prefill_seconds += seconds;
  timing_.prefill_tokens += pass.rows();
  const std::size_t row_bytes = logits.size() / pass.wanted.size();
  std::size_t member = 0;
  for (std::size_t i = 0; i < pass.wanted.size(); ++i) {
    const std::int32_t row = pass.wanted[i];
    while (!members[member].pass_rows.contains(row)) ++member;
    if (ids.size() > 1) members[member].record.prefilled_with = ids;
    const auto at = static_cast<std::size_t>(row);
    take_row(members[member], logits.empty() ? logits : logits.subspan(i * row_bytes, row_bytes), i,
             {pass.tokens[at], pass.positions[at], 0, forward_calls_ - 1,
              static_cast<std::int32_t>(pass.rows()), row, record::Phase::prefill, seconds});
  }
}

void Generator::decode(std::vector<Sequence>& sequences, const std::vector<std::int32_t>& fed) {
  const auto made = std::make_shared<Pass>();
  Pass& pass = *made;
  pass.tokens = fed;
  std::vector<std::string> ids;  // rows after theirs are of no prompt
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    if (sequences[i].job != nullptr) ids.push_back(sequences[i].job->prompt.id);
    pass.positions.push_back(sequences[i].done ? 0 : static_cast<std::int32_t>(sequences[i].length));
    pass.slots.push_back(static_cast<std::int32_t>(i));
    if (replay_ != nullptr)
      replay_->add_row(sequences[i].done ? std::string() : sequences[i].job->prompt.id,
                       pass.positions.back());
  }
  if (replay_ != nullptr) pass.routes = replay_->take();
  pass.wanted = pass.slots;
  std::span<const std::byte> logits;
  const double seconds = timed_pass(pass, logits);
  timing_.decode_seconds += seconds;
  ++decode_passes_;
  const std::size_t row_bytes = logits.size() / sequences.size();
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    Sequence& sequence = sequences[i];
    if (sequence.done) continue;
    sequence.pass = made;
    sequence.pass_rows = {static_cast<std::int64_t>(i), static_cast<std::int64_t>(i) + 1};
    ++sequence.length;
    ++timing_.decode_tokens;
    if (ids.size() > 1) sequence.record.decoded_with = ids;
    if (routes_ != nullptr && recorder_ != nullptr) routes_->append(sequence.pass_rows, sequence.routes);
    take_row(sequence, logits.empty() ? logits : logits.subspan(i * row_bytes, row_bytes), i,
             {fed[i], pass.positions[i], 0, forward_calls_ - 1, static_cast<std::int32_t>(pass.rows()),
              static_cast<std::int32_t>(i), record::Phase::decode, seconds});
  }
}

// Rows that may be recorded of a prompt.
std::int64_t Generator::most_rows(const Job& job) const {
  const auto tokens = static_cast<std::int64_t>(job.prompt.tokens.size());
  if (options_.mode == Mode::score) return tokens;
  if (options_.mode == Mode::follow) return static_cast<std::int64_t>(job.fed.size()) + 1;
  return std::clamp<std::int64_t>(config_.max_positions - tokens + 1, 1,
                                  std::max<std::int64_t>(1, options_.max_new_tokens));
}

// row: its logits; i: which of the pass's rows with logits it is.
void Generator::take_row(Sequence& sequence, std::span<const std::byte> row, std::size_t i,
                         const record::Row& where) {
  ++sequence.rows;
  ++progress_.tokens;
  if (recorder_ == nullptr || sequence.chosen == kNotFinite) return;
  record::Row recorded = where;
  const Choice choice = choose(row, options_.plan.logits_dtype);
  if (!choice.finite) {
    sequence.chosen = kNotFinite;  // the other ranks learn it where they would learn the token
    return;
  }
  recorded.chosen = choice.token;
  sequence.chosen = recorded.chosen;
  sequence.record.rows.push_back(recorded);
  if (!sequence.logits) sequence.logits = recorder_->begin(sequence.job->prompt.id, most_rows(*sequence.job));
  recorder_->append(sequence.logits, row);
  if (traces_ != nullptr) traces_->append(i, sequence.trace);
  callback_(progress_);
}

// Every rank of the replica runs the sequence's newest pass again, with a look at each operation's output;
// keys and values are written over with themselves. The writing rank says what was found and ends the run.
void Generator::explain_not_finite(const Sequence& sequence) {
  progress::at("looking for what is not finite");
  Trace look = make_look_();
  look.look_at(sequence.pass_rows);  // the pass may have rows of other sequences
  forward_.trace_to(&look);
  forward_.run(*sequence.pass);
  const auto found = look.not_finite().value_or(NotFinite{});
  // Where the operation stands among all, its row, and what it holds.
  std::array<double, 3> mine{-1, static_cast<double>(found.row), found.value};
  if (look.not_finite()) mine[0] = static_cast<double>(record::index_of(found.point, config_.layers));
  if (replica_.rank() != writer_rank_) {
    replica_.send(std::as_bytes(std::span(mine)), writer_rank_);
    while (true) replica_.barrier();  // the writing rank ends this one too
  }
  auto first = mine;
  for (int rank = 0; rank < replica_.size(); ++rank) {
    auto theirs = mine;
    if (rank != writer_rank_) replica_.receive(std::as_writable_bytes(std::span(theirs)), rank);
    if (theirs[0] >= 0 && (first[0] < 0 || theirs[0] < first[0])) first = theirs;
  }
  const auto where = fmt::format("prompt '{}', position {}", sequence.job->prompt.id, sequence.length - 1);
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
  sequence.record.device = device_label_;
  sequence.record.replica = replica_index_;
  recorder_->add(std::move(sequence.record), std::move(sequence.logits));
  callback_(progress_);
  hold_.after(sequence.job->prompt.id, stop_requested);
}

}  // namespace shardrift
