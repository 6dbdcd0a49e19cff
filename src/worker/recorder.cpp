#include "worker/recorder.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "common/hash.hpp"
#include "record/row_top.hpp"

namespace shardrift {

struct Recorder::State {
  static constexpr std::size_t kWaiting = 2;
  record::PartWriter writer;
  DType dtype;
  std::int64_t vocabulary;
  std::int64_t top_k;
  bool keep_logits;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<record::PromptRecord> queue;
  bool stopping = false;
  std::exception_ptr error;
  std::thread thread;

  State(const record::WriterOptions& options, const record::RunInfo& run, int k, bool keep)
      : writer(options, run),
        dtype(run.logits_dtype),
        vocabulary(run.model.vocabulary),
        top_k(std::min<std::int64_t>(k, vocabulary)),
        keep_logits(keep) {
    thread = std::thread([this] { work(); });
  }

  void complete(record::PromptRecord& prompt) const {
    prompt.hash = sha256_hex(prompt.logits);
    prompt.top.k = top_k;
    const auto row_bytes = static_cast<std::size_t>(vocabulary) * size_of(dtype);
    const auto k = static_cast<std::size_t>(top_k);
    prompt.top.ids.resize(prompt.rows.size() * k);
    prompt.top.log_probabilities.resize(prompt.rows.size() * k);
    for (std::size_t row = 0; row < prompt.rows.size(); ++row)
      record::top_of({prompt.logits.data() + row * row_bytes, row_bytes}, dtype,
                     std::span(prompt.top.ids).subspan(row * k, k),
                     std::span(prompt.top.log_probabilities).subspan(row * k, k));
    if (!keep_logits) prompt.logits.clear();
  }

  void work() {
    while (true) {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return stopping || !queue.empty(); });
      if (queue.empty()) return;
      record::PromptRecord prompt = std::move(queue.front());
      queue.pop_front();
      const bool failed = error != nullptr;
      lock.unlock();
      changed.notify_all();
      if (failed) continue;
      try {
        complete(prompt);
        writer.add(std::move(prompt));
      } catch (...) {
        const std::lock_guard guard(mutex);
        error = std::current_exception();
      }
    }
  }

  void join() {
    {
      const std::lock_guard guard(mutex);
      stopping = true;
    }
    changed.notify_all();
    if (thread.joinable()) thread.join();
  }
};

Recorder::Recorder(const record::WriterOptions& options, const record::RunInfo& run, int top_k,
                   bool keep_logits)
    : begin_([=] { return std::make_unique<State>(options, run, top_k, keep_logits); }) {}

Recorder::~Recorder() {
  if (state_) state_->join();
}

void Recorder::add(record::PromptRecord prompt) {
  if (!state_) state_ = begin_();
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [&] { return state_->queue.size() < State::kWaiting; });
  if (state_->error) std::rethrow_exception(state_->error);
  state_->queue.push_back(std::move(prompt));
  lock.unlock();
  state_->changed.notify_all();
}

void Recorder::finish() {
  if (!state_) return;
  state_->join();
  if (state_->error) std::rethrow_exception(state_->error);
  state_->writer.finish();
  state_.reset();
}

}  // namespace shardrift
