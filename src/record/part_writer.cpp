// PartWriter: rows and finished prompts go to disk in background threads (part_pipeline.hpp), one small file
// a prompt.
#include "record/writer.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "common/error.hpp"
#include "common/usable_cores.hpp"
#include "record/check_record.hpp"
#include "record/part_pipeline.hpp"

namespace shardrift::record {
namespace {

// Prompts that may wait to be finished: each thread looks through them for what to do next.
constexpr std::size_t kMostEnded = 256;

// What a record holds beside its rows of logits.
std::size_t other_bytes(const PromptRecord& record) {
  return record.hidden.words.size() + record.checksums.sums.size() * sizeof(std::uint64_t) +
         record.sketches.values.size() * sizeof(double) +
         record.routes.experts.size() * (sizeof(std::int32_t) + sizeof(float));
}

}  // namespace

PartWriter::Rows::Rows(std::shared_ptr<State> state, std::shared_ptr<Stream> stream)
    : state_(std::move(state)), stream_(std::move(stream)) {}
PartWriter::Rows::Rows(Rows&& other) noexcept = default;
PartWriter::Rows& PartWriter::Rows::operator=(Rows&& other) noexcept {
  std::swap(state_, other.state_);
  std::swap(stream_, other.stream_);
  return *this;
}
PartWriter::Rows::~Rows() {
  if (!stream_) return;
  {
    const std::lock_guard lock(state_->mutex);
    stream_->dropped = true;
    for (const auto& block : stream_->to_hash) state_->released(*block);
    for (const auto& block : stream_->to_write) state_->released(*block);
    stream_->to_encode.clear();
    stream_->to_hash.clear();
    stream_->to_write.clear();
  }
  state_->work_changed.notify_all();
}

PartWriter::PartWriter(const WriterOptions& options, const RunInfo& run, RowOptions rows)
    : state_(std::make_shared<State>()) {
  State& state = *state_;
  state.options = options;
  state.resume_key = run.resume_key;
  state.numerics = numerics_of(run.environment);
  state.shape = {storage_of(run.logits_dtype), run.model.vocabulary};
  state.wanted = std::move(rows);
  state.wanted.top_k = std::min(state.wanted.top_k, run.model.vocabulary);
  const auto layout = chunk_layout(state.shape, std::numeric_limits<std::int64_t>::max());
  state.spare_bytes = chunks_of_block(layout) * layout.stride();
  constexpr int kMostThreads = 8;
  const int threads =
      state.wanted.threads > 0 ? state.wanted.threads : std::clamp(usable_cores() + 1, 2, kMostThreads);
  for (int i = 0; i < threads; ++i) state.threads.emplace_back([state = state_.get()] { state->work(); });
  state.threads.emplace_back([state = state_.get()] { state->publish_parts(); });
  state.threads.emplace_back([state = state_.get()] { state->begin_flushing(); });
}

PartWriter::~PartWriter() {
  state_->stop();
}

PartWriter::Rows PartWriter::begin(const std::string& id, std::int64_t at_most) {
  check_id(id);
  auto stream = std::make_shared<Stream>();
  stream->id = id;
  stream->at_most = at_most;
  stream->layout = chunk_layout(state_->shape, at_most);
  stream->block_rows = static_cast<std::int64_t>(chunks_of_block(stream->layout)) * stream->layout.rows;
  std::unique_lock lock(state_->mutex);
  state_->wait_for_room(lock, [&] { return state_->ended < kMostEnded; });
  if (state_->closing) throw failure("prompt {}: added after the writer had finished", id);
  state_->streams.push_back(stream);
  return {state_, std::move(stream)};
}

void PartWriter::append(Rows& rows, std::span<const std::byte> words) {
  Stream& stream = *rows.stream_;
  const ChunkLayout& layout = stream.layout;
  const auto count = static_cast<std::int64_t>(words.size() / layout.row_bytes);
  if (words.size() % layout.row_bytes != 0 || count > stream.at_most - stream.rows)
    throw failure("prompt {}: {} bytes of logits after {} rows, of at most {} rows of {} bytes", stream.id,
                  words.size(), stream.rows, stream.at_most, layout.row_bytes);
  while (!words.empty()) {
    if (!stream.filling) stream.filling = state_->new_block(stream);
    RowBlock& block = *stream.filling;
    const std::int64_t in_chunk = block.rows % layout.rows;
    const std::int64_t now =
        std::min(static_cast<std::int64_t>(words.size() / layout.row_bytes), layout.rows - in_chunk);
    const std::size_t bytes = static_cast<std::size_t>(now) * layout.row_bytes;
    std::memcpy(block.memory.get() + static_cast<std::size_t>(block.rows / layout.rows) * layout.stride() +
                    static_cast<std::size_t>(in_chunk) * layout.row_bytes,
                words.data(), bytes);
    words = words.subspan(bytes);
    block.rows += now;
    stream.rows += now;
    if (block.rows == stream.block_rows) state_->submit(stream);
  }
}

void PartWriter::end(Rows rows, PromptRecord record) {
  const auto stream = rows.stream_;
  check_record(record);
  if (record.prompt.id != stream->id)
    throw failure("prompt {}: the rows are those of {}", record.prompt.id, stream->id);
  if (stream->rows != static_cast<std::int64_t>(record.rows.size()) && stream->at_most > 0)
    throw failure("prompt {}: logits of {} rows, expected {}", record.prompt.id, stream->rows,
                  record.rows.size());
  record.logits = {};
  stream->record_bytes = other_bytes(record);
  stream->record = std::move(record);
  std::unique_lock lock(state_->mutex);
  // The last block and the end at once: who writes the block has to know that it is the last.
  state_->take_room(lock, stream->record_bytes + (stream->filling ? stream->filling->bytes : 0));
  if (stream->filling) stream->push(std::move(stream->filling));
  stream->ended = true;
  ++state_->ended;
  rows.stream_ = nullptr;
  lock.unlock();
  state_->work_changed.notify_all();
}

void PartWriter::add(PromptRecord record) {
  check_record(record);
  const auto steps = static_cast<std::int64_t>(record.rows.size());
  const auto row_bytes = static_cast<std::size_t>(state_->shape.vocabulary) * size_of(state_->shape.dtype);
  if (!record.logits.empty() && record.logits.size() != record.rows.size() * row_bytes)
    throw failure("prompt {}: {} bytes of logits for {} rows, expected {}", record.prompt.id,
                  record.logits.size(), steps, record.rows.size() * row_bytes);
  auto rows = begin(record.prompt.id, record.logits.empty() ? 0 : steps);
  rows.stream_->hashes = record.hash.empty() && !record.logits.empty();
  append(rows, record.logits);
  end(std::move(rows), std::move(record));
}

void PartWriter::finish() {
  state_->stop();
  state_->rethrow();
}

PartWriter::Load PartWriter::load() const {
  const std::lock_guard lock(state_->mutex);
  return {state_->bytes, state_->waits, state_->waited_seconds};
}

}  // namespace shardrift::record
