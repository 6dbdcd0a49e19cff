// PartWriter: finished prompts go to disk in a background thread, one small file each.
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "common/error.hpp"
#include "record/files.hpp"
#include "record/hdf5_write.hpp"
#include "record/output_lock.hpp"
#include "record/part_file.hpp"
#include "record/seal.hpp"
#include "record/writer.hpp"

namespace shardrift::record {
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMaxWaiting = 2;  // finished prompts held in memory beside the one being written

// A caller's mistake found here is found before it is on disk.
void check_record(const PromptRecord& record, const LogitsShape& shape) {
  const std::size_t steps = record.rows.size();
  const std::size_t logits = steps * static_cast<std::size_t>(shape.vocabulary) * size_of(shape.dtype);
  const std::size_t top = steps * static_cast<std::size_t>(record.top.k);
  if (!valid_id(record.prompt.id))
    throw usage_error("prompt id '{}': use 1 to 64 of A-Z a-z 0-9 _ - . and no leading dot",
                      record.prompt.id);
  if (!record.logits.empty() && record.logits.size() != logits)
    throw failure("prompt {}: {} bytes of logits for {} rows, expected {}", record.prompt.id,
                  record.logits.size(), steps, logits);
  if (!record.hidden.words.empty() && record.hidden.rows() != static_cast<std::int64_t>(steps))
    throw failure("prompt {}: hidden states of {} rows, not {}", record.prompt.id, record.hidden.rows(),
                  steps);
  if (!record.checksums.empty() && record.checksums.rows != static_cast<std::int64_t>(steps))
    throw failure("prompt {}: checksums of {} rows, not {}", record.prompt.id, record.checksums.rows, steps);
  if (const Routes& routes = record.routes; !routes.empty()) {
    const auto tokens = static_cast<std::size_t>(fed_tokens(record));
    const std::size_t chosen = routes.layers.size() * tokens * static_cast<std::size_t>(routes.k);
    if (static_cast<std::size_t>(routes.positions) != tokens || routes.experts.size() != chosen ||
        routes.weights.size() != chosen)
      throw failure("prompt {}: routes of {} tokens hold {} experts and {} weights, expected {} of {}",
                    record.prompt.id, routes.positions, routes.experts.size(), routes.weights.size(), chosen,
                    tokens);
    if (const auto fault = fault_in(routes); !fault.empty())
      throw failure("prompt {}: routes: {}", record.prompt.id, fault);
  }
  if (record.top.ids.size() != top || record.top.log_probabilities.size() != top)
    throw failure("prompt {}: top holds {} ids and {} log-probabilities, expected {}", record.prompt.id,
                  record.top.ids.size(), record.top.log_probabilities.size(), top);
}

// What becomes `path`, under its temporary name.
void fill_file(const fs::path& temporary, const fs::path& path, const std::function<void(hid_t root)>& fill) {
  try {
    const h5::Lock lock;
    auto file = h5::create_file(temporary);
    fill(file);
    h5::finish_file(file);
  } catch (const h5::Hdf5Error& error) {
    remove_quietly(temporary);
    throw failure("{}: cannot be written: {}; what was recorded before is kept: make room and rerun",
                  path.string(), error.what());
  }
}

}  // namespace

void write_durably(const fs::path& path, const std::function<void(hid_t root)>& fill) {
  const fs::path temporary = temporary_path(path, "");
  fill_file(temporary, path, fill);
  publish(temporary, path);
}

void write_part(const WriterOptions& options, const fs::path& path,
                const std::function<void(hid_t root)>& fill) {
  const fs::path temporary = temporary_path(path, options.owner);
  fill_file(temporary, path, fill);
  try {
    seal(temporary);
    require_owner(options.output, options.owner);
  } catch (const Error&) {
    remove_quietly(temporary);
    throw;
  }
  publish(temporary, path);
}

struct PartWriter::State {
  WriterOptions options;
  std::string resume_key;
  LogitsShape shape;

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<PromptRecord> waiting;
  bool closing = false;
  std::exception_ptr error;
  std::thread thread;

  void write(const PromptRecord& record) const {
    write_part(options, part_path(parts_directory(options.output), record.prompt.id), [&](hid_t root) {
      write_schema(root);
      h5::write_attribute(root, "resume_key", resume_key);
      write_prompt(create_prompts_group(root), record, shape, options.compression);
    });
  }

  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return closing || !waiting.empty(); });
      if (waiting.empty()) return;
      const PromptRecord record = std::move(waiting.front());
      waiting.pop_front();
      changed.notify_all();
      lock.unlock();
      std::exception_ptr caught;
      try {
        write(record);
      } catch (...) {  // handed to the next add() or finish()
        caught = std::current_exception();
      }
      lock.lock();
      if (caught == nullptr) continue;
      error = caught;
      changed.notify_all();
      return;
    }
  }

  void stop() {
    {
      const std::lock_guard lock(mutex);
      closing = true;
    }
    changed.notify_all();
    if (thread.joinable()) thread.join();
  }
};

PartWriter::PartWriter(const WriterOptions& options, const RunInfo& run) : state_(std::make_unique<State>()) {
  state_->options = options;
  state_->resume_key = run.resume_key;
  state_->shape = {storage_of(run.logits_dtype), run.model.vocabulary};
  state_->thread = std::thread([state = state_.get()] { state->work(); });
}

PartWriter::~PartWriter() {
  if (state_) state_->stop();  // what was added still reaches the disk
}

void PartWriter::add(PromptRecord record) {
  check_record(record, state_->shape);
  std::unique_lock lock(state_->mutex);
  if (state_->closing) throw failure("prompt {}: added after the writer had finished", record.prompt.id);
  state_->changed.wait(lock,
                       [&] { return state_->error != nullptr || state_->waiting.size() < kMaxWaiting; });
  if (state_->error != nullptr) std::rethrow_exception(state_->error);
  state_->waiting.push_back(std::move(record));
  state_->changed.notify_all();
}

void PartWriter::finish() {
  state_->stop();
  if (state_->error != nullptr) std::rethrow_exception(state_->error);
}

}  // namespace shardrift::record
