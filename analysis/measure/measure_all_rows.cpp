#include "analysis/measure/measure_all_rows.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <future>
#include <mutex>
#include <set>
#include <thread>

#include "analysis/measure/alignment.hpp"
#include "analysis/measure/metrics.hpp"
#include "analysis/measure/routes.hpp"
#include "analysis/measure/same_text.hpp"
#include "analysis/measure/top_lists.hpp"
#include "common/error.hpp"
#include "common/names_text.hpp"
#include "record/logits_rows.hpp"
#include "record/row_kind.hpp"
#include "record/token_fault.hpp"
#include "record/top_fault.hpp"
#include "record/verify.hpp"

namespace shardrift::analysis {
namespace {

using record::PromptRecord;
using record::Reader;
using record::Row;
using MeasureProgress = std::function<void(double share)>;

constexpr std::size_t kBlockBytes = 1 << 20;  // of one file's rows in a thread's memory at a time

// Ids in both files, in the reference's order; the others are `missing`. Complete files that share none are
// not compared.
std::vector<std::string> common_prompts(const Reader& reference, const Reader& candidate,
                                        Measurement& result) {
  const auto of_reference = reference.prompt_ids();
  const auto of_candidate = candidate.prompt_ids();
  const std::set<std::string> in_reference(of_reference.begin(), of_reference.end());
  const std::set<std::string> in_candidate(of_candidate.begin(), of_candidate.end());
  std::vector<std::string> common;
  for (const auto& id : of_reference)
    (in_candidate.contains(id) ? common : result.missing_in_candidate).push_back(id);
  for (const auto& id : of_candidate)
    if (!in_reference.contains(id)) result.missing_in_reference.push_back(id);
  constexpr std::size_t kNamed = 3;
  if (common.empty() && reference.complete() && candidate.complete())
    throw bad_data(
        "{}: its prompts are {}, those of {} are {}: none is in both, so there is nothing to compare; "
        "give both the same prompts under the same ids",
        candidate.path().string(), names_text(of_candidate, kNamed), reference.path().string(),
        names_text(of_reference, kNamed));
  return common;
}

// What makes a prompt unusable (shardrift inspect --validate says all of it), as far as rows without logits
// show it. Lists of the most likely tokens are believed where there are no logits to look at.
std::optional<std::string> contradiction(const Reader& reader, const PromptRecord& record) {
  const auto& mode = reader.run().mode;
  auto fault = record::fault_in_tokens(record, mode == "greedy");
  if (!fault && mode == "score") fault = record::fault_in_scored(record);
  if (!fault && !reader.has_logits(record.prompt.id)) fault = record::fault_in_top(record);
  if (!fault) return std::nullopt;
  return fmt::format("{}: {}", name_of_run(reader.path()), *fault);
}

const Row& row_at(const std::vector<Row>& rows, std::int64_t i) {
  return rows[static_cast<std::size_t>(i)];
}

// The token that the reference was given after its row i: what it chose (greedy), or the next one of the
// text.
std::int32_t next_token(const std::string& mode, const std::vector<Row>& rows, std::int64_t i) {
  if (mode == "greedy") return row_at(rows, i).chosen;
  const bool last = i + 1 == static_cast<std::int64_t>(rows.size());
  if (last || row_at(rows, i + 1).position != row_at(rows, i).position + 1) return RowComparer::kNoToken;
  return row_at(rows, i + 1).input_id;
}

std::vector<Step> steps_of(const std::vector<Row>& reference, const std::vector<Row>& candidate,
                           const Alignment& alignment) {
  std::vector<Step> steps(static_cast<std::size_t>(alignment.count));
  for (std::int64_t i = 0; i < alignment.count; ++i) {
    Step& step = steps[static_cast<std::size_t>(i)];
    step.step = alignment.reference_begin + i;
    step.candidate_step = alignment.candidate_begin + i;
    const Row& r = row_at(reference, step.step);
    step.position = r.position;
    step.input_id = r.input_id;
    step.phase = r.phase;
    step.chosen_reference = r.chosen;
    step.chosen_candidate = row_at(candidate, step.candidate_step).chosen;
  }
  return steps;
}

// The rows of one prompt, cut into blocks that several threads take one after another. Each row's numbers
// come from that row alone, so they do not depend on who computes it.
class RowMeasurer {
 public:
  RowMeasurer(const Reader& reference, const Reader& candidate, const std::string& id,
              std::vector<std::int32_t> next, std::vector<Step>& steps)
      : reference_(record::LogitsRows::open(reference, id)),
        candidate_(record::LogitsRows::open(candidate, id)),
        next_(std::move(next)),
        steps_(steps) {
    const auto together = static_cast<std::size_t>(reference_.rows_together());
    const std::size_t fit = kBlockBytes / std::max(reference_.row_bytes(), candidate_.row_bytes());
    block_ = std::max(together, fit / together * together);
  }

  std::size_t blocks() const { return (steps_.size() + block_ - 1) / block_; }
  bool failed() const { return failed_; }
  void rethrow() const {
    if (error_ != nullptr) std::rethrow_exception(error_);
  }

  // Takes blocks until none is left. after_each: called with the blocks taken by all threads so far.
  void work(RowComparer& comparer, const std::function<void(std::size_t)>& after_each) {
    std::vector<std::byte> reference;
    std::vector<std::byte> candidate;
    for (;;) {
      const std::size_t block = taken_++;
      if (block >= blocks() || failed_) return;
      try {
        measure(block, comparer, reference, candidate);
      } catch (...) {  // rethrown by the thread that started the others
        fail(block, std::current_exception());
        return;
      }
      if (after_each) after_each(std::min(taken_.load(), blocks()));
    }
  }

 private:
  void measure(std::size_t block, RowComparer& comparer, std::vector<std::byte>& reference,
               std::vector<std::byte>& candidate) {
    const std::size_t begin = block * block_;
    const std::size_t end = std::min(steps_.size(), begin + block_);
    reference_.read(steps_[begin].step, steps_[end - 1].step + 1, reference);
    candidate_.read(steps_[begin].candidate_step, steps_[end - 1].candidate_step + 1, candidate);
    for (std::size_t i = begin; i < end; ++i)
      comparer.compare(reference.data() + (i - begin) * reference_.row_bytes(),
                       candidate.data() + (i - begin) * candidate_.row_bytes(), next_[i], steps_[i]);
  }

  // The error of the earliest block, whichever thread came first.
  void fail(std::size_t block, std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (error_ != nullptr && block > failed_block_) return;
    failed_block_ = block;
    error_ = std::move(error);
    failed_ = true;
  }

  record::LogitsRows reference_;
  record::LogitsRows candidate_;
  std::vector<std::int32_t> next_;
  std::vector<Step>& steps_;
  std::size_t block_ = 1;
  std::atomic<std::size_t> taken_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::size_t failed_block_ = 0;
  std::exception_ptr error_;
};

void take_blocks(RowMeasurer& rows, std::vector<RowComparer>& comparers, const MeasureProgress& progress) {
  const std::size_t threads = std::min(comparers.size(), rows.blocks());
  std::vector<std::thread> others;
  for (std::size_t i = 1; i < threads; ++i)
    others.emplace_back([&rows, &comparer = comparers[i]] { rows.work(comparer, {}); });
  rows.work(comparers[0], [&](std::size_t taken) {
    progress(static_cast<double>(taken) / static_cast<double>(rows.blocks()));
  });
  for (auto& thread : others) thread.join();
  rows.rethrow();
}

// Both records' logits held against their SHA-256 and `chosen`, beside the measuring: a record that was
// edited is not compared. Each hash is one thread's, because SHA-256 goes from the first byte to the last.
class HashChecks {
 public:
  HashChecks(const Reader& reference, const PromptRecord& r, const Reader& candidate, const PromptRecord& c)
      : reference_(begin(reference, r)), candidate_(begin(candidate, c)) {}

  void finish() {  // throws what a check threw
    reference_.get();
    candidate_.get();
  }

 private:
  static std::future<std::string> begin(const Reader& reader, const PromptRecord& record) {
    return std::async(std::launch::async, [check = record::LogitsCheck(reader, record)] {
      return check.run(record::Verify::chosen_too);
    });
  }
  std::future<std::string> reference_;
  std::future<std::string> candidate_;
};

PromptMeasurement measure_prompt(const Reader& reference, const Reader& candidate, const PromptRecord& r,
                                 const PromptRecord& c, std::vector<RowComparer>& comparers,
                                 const MeasureProgress& progress) {
  const std::string& id = r.prompt.id;
  PromptMeasurement prompt;
  prompt.id = id;
  prompt.index = r.prompt.index;
  prompt.prompt_tokens = static_cast<std::int64_t>(r.prompt.tokens.size());
  prompt.reference_steps = static_cast<std::int64_t>(r.rows.size());
  prompt.candidate_steps = static_cast<std::int64_t>(c.rows.size());
  prompt.reference_stop = r.stop;
  prompt.has_logits = reference.has_logits(id) && candidate.has_logits(id);
  const Alignment alignment = align(r.rows, c.rows);
  prompt.steps = steps_of(r.rows, c.rows, alignment);
  if (const auto flip = first_flip(r.rows, c.rows, alignment))
    prompt.first_flip = static_cast<std::size_t>(*flip);
  if (prompt.has_logits && alignment.count > 0) {
    std::vector<std::int32_t> next;
    for (const auto& step : prompt.steps) next.push_back(next_token(reference.run().mode, r.rows, step.step));
    RowMeasurer rows(reference, candidate, id, std::move(next), prompt.steps);
    HashChecks hashes(reference, r, candidate, c);
    take_blocks(rows, comparers, progress);
    hashes.finish();
  } else if (!prompt.has_logits) {
    measure_top(r.top, c.top, prompt.steps);
  }
  measure_routes(r, c, alignment, prompt);

  const bool same_dtype =
      storage_of(reference.run().logits_dtype) == storage_of(candidate.run().logits_dtype);
  const bool all_rows =
      alignment.count == prompt.reference_steps && alignment.count == prompt.candidate_steps;
  // The recorded hash is of the words, so it can speak for logits that were not kept, of one dtype.
  const bool hashed = same_dtype && !r.hash.empty() && !c.hash.empty();
  const bool equal_hash = hashed && r.hash == c.hash;
  const bool no_difference =
      !prompt.first_flip &&
      (!prompt.has_logits || std::none_of(prompt.steps.begin(), prompt.steps.end(),
                                          [](const Step& step) { return step.differs(); }));
  prompt.bit_equal = all_rows && no_difference && same_dtype && (prompt.has_logits || equal_hash);
  prompt.differs = !no_difference || (all_rows && !prompt.has_logits && hashed && !equal_hash);
  return prompt;
}

// More threads than this wait for memory, not for each other's rows.
constexpr unsigned kMaxThreads = 16;

// Of all threads' buffers: four rows of float64 each.
constexpr std::int64_t kBufferBytes = 256 << 20;

unsigned threads_of(const RowReading& how, std::int64_t vocabulary) {
  const unsigned wanted = how.threads > 0 ? how.threads : std::thread::hardware_concurrency();
  const auto fit =
      static_cast<unsigned>(std::min<std::int64_t>(kMaxThreads, kBufferBytes / (32 * vocabulary)));
  return std::clamp(wanted, 1U, std::max(1U, fit));
}

}  // namespace

// Another checkpoint of the vocabulary (other dtype, quantized, fine-tuned) may be compared: differences_of
// says so. Its token ids must mean the same.
void require_same_vocabulary(const Reader& reference, const Reader& candidate) {
  const auto& r = reference.run().model;
  const auto& c = candidate.run().model;
  if (r.vocabulary != c.vocabulary)
    throw bad_data("{}: vocabulary of {}, {} has {}: these runs are of different models",
                   candidate.path().string(), c.vocabulary, reference.path().string(), r.vocabulary);
}

Measurement measure_all_rows(const Reader& reference, const Reader& candidate, const RowReading& how) {
  require_same_vocabulary(reference, candidate);
  Measurement result;
  result.reference = summary_of(reference);
  result.candidate = summary_of(candidate);
  result.differences = differences_of(reference.run(), candidate.run());
  std::vector<RowComparer> comparers;
  for (unsigned i = 0; i < threads_of(how, reference.run().model.vocabulary); ++i)
    comparers.emplace_back(reference.run().logits_dtype, candidate.run().logits_dtype,
                           reference.run().model.vocabulary);
  const auto ids = common_prompts(reference, candidate, result);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const PromptRecord r = reference.prompt(ids[i]);
    const PromptRecord c = candidate.prompt(ids[i]);
    if (auto why = other_tokens(r, c)) {
      result.left_out.push_back({ids[i], *std::move(why)});
      continue;
    }
    auto why = contradiction(reference, r);
    if (!why) why = contradiction(candidate, c);
    if (why) {
      result.contradictory.push_back({ids[i], *std::move(why)});
      continue;
    }
    result.prompts.push_back(measure_prompt(reference, candidate, r, c, comparers, [&](double share) {
      if (how.progress) how.progress((static_cast<double>(i) + share) / static_cast<double>(ids.size()));
    }));
  }
  if (result.prompts.empty() && !result.left_out.empty())
    throw bad_data("{}: prompt {} has other tokens than in {} ({}): these runs did not get the same prompts",
                   candidate.path().string(), result.left_out.front().id, reference.path().string(),
                   result.left_out.front().why);
  if (result.prompts.empty() && !result.contradictory.empty())
    throw bad_data(
        "{} beside {}: prompt {}: of {}: no prompt is left to compare; shardrift inspect FILE --validate "
        "says all that is wrong",
        candidate.path().string(), reference.path().string(), result.contradictory.front().id,
        result.contradictory.front().why);
  std::vector<std::string> compared;
  for (const auto& prompt : result.prompts) compared.push_back(prompt.id);
  result.reference.probabilities = record::holds_probabilities(reference, compared);
  result.candidate.probabilities = record::holds_probabilities(candidate, compared);
  return result;
}

}  // namespace shardrift::analysis
