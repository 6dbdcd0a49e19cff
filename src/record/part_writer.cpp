// PartWriter: rows and finished prompts go to disk in background threads, one small file a prompt.
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <limits>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "record/check_record.hpp"
#include "record/files.hpp"
#include "record/hdf5_write.hpp"
#include "record/logits_dataset.hpp"
#include "record/part_file.hpp"
#include "record/row_top.hpp"
#include "record/writer.hpp"

namespace shardrift::record {
namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;

// What a record holds beside its rows of logits.
std::size_t other_bytes(const PromptRecord& record) {
  return record.hidden.words.size() + record.checksums.sums.size() * sizeof(std::uint64_t) +
         record.routes.experts.size() * (sizeof(std::int32_t) + sizeof(float));
}

std::size_t chunks_of_block(const ChunkLayout& layout) {
  return std::max<std::size_t>(1, kRowBlockBytes / layout.stride());
}

// Taken anew in large pages: blocks are filled once each at first, and a fault a small page would cost as
// much as what is done with the rows.
struct Freed {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<std::byte[], Freed>;
Memory new_memory(std::size_t bytes) {
  constexpr std::size_t kLargePage = std::size_t{2} << 20U;
  constexpr std::size_t kLine = 64;
  const std::size_t alignment = bytes < kLargePage ? kLine : kLargePage;
  auto* const memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  if (bytes >= kLargePage) (void)::madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  return Memory(static_cast<std::byte*>(memory));
}

// Some rows of a prompt on their way, chunk after chunk.
struct Block {
  Memory memory;
  std::size_t bytes = 0;  // of the memory
  std::int64_t first = 0;
  std::int64_t rows = 0;
  std::vector<EncodedChunk> chunks;
  Top top;
  bool encoded = false;
  int uses = 2;  // to be hashed, to be written
};

}  // namespace

struct PartWriter::Stream {
  std::string id;
  std::int64_t at_most = 0;
  ChunkLayout layout;
  std::int64_t block_rows = 0;
  bool hashes = true;

  // Of who appends.
  std::shared_ptr<Block> filling;
  std::int64_t rows = 0;

  // Under the writer's mutex.
  std::deque<std::shared_ptr<Block>> to_encode, to_hash, to_write;
  int busy = 0;  // tasks on it
  bool hashing = false;
  bool ended = false, dropped = false;

  // Of the task that is at it.
  Sha256 hash;
  Top top;
  std::shared_ptr<PartFile> file;
  std::optional<LogitsDataset> logits;
  PromptRecord record;
  std::size_t record_bytes = 0;

  void push(std::shared_ptr<Block> block) {
    to_encode.push_back(block);
    to_hash.push_back(block);
    to_write.push_back(std::move(block));
  }

  ~Stream() {
    const h5::Lock lock;
    logits.reset();
  }
};

struct PartWriter::State {
  WriterOptions options;
  std::string resume_key;
  LogitsShape shape;
  RowOptions wanted;

  mutable std::mutex mutex;
  std::condition_variable work_changed, room_changed, all_changed;
  std::vector<std::shared_ptr<Stream>> streams;
  std::vector<Memory> spare;           // of blocks of the usual size
  std::size_t spare_bytes = 0;         // of each of them
  std::shared_ptr<PartFile> to_flush;  // the one written last
  std::deque<std::shared_ptr<PartFile>> to_publish;
  bool publishing = false;
  bool writing = false;  // one task at a time calls HDF5
  std::size_t bytes = 0;
  bool waits = false;
  double waited_seconds = 0;
  bool closing = false;
  std::exception_ptr error;
  std::vector<std::thread> threads;

  // What one thread does next, without the mutex.
  using Task = std::function<void()>;

  void fail(std::unique_lock<std::mutex>&) {
    if (error == nullptr) error = std::current_exception();
    for (auto& stream : streams) {
      stream->to_encode.clear();
      stream->to_hash.clear();
      stream->to_write.clear();
    }
    to_publish.clear();
    bytes = 0;
    room_changed.notify_all();
    all_changed.notify_all();
  }

  void released(Block& block) {
    if (--block.uses > 0) return;
    bytes -= std::min(bytes, block.bytes);
    if (block.bytes == spare_bytes) spare.push_back(std::move(block.memory));
    room_changed.notify_all();
  }

  void encode(const Stream& stream, Block& block) const {
    const auto& layout = stream.layout;
    const std::int64_t chunks = (block.rows + layout.rows - 1) / layout.rows;
    const auto k = static_cast<std::size_t>(wanted.top_k);
    block.top.ids.resize(static_cast<std::size_t>(block.rows) * k);
    block.top.log_probabilities.resize(block.top.ids.size());
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      std::byte* const data = block.memory.get() + static_cast<std::size_t>(chunk) * layout.stride();
      const std::int64_t first = chunk * layout.rows;
      const auto rows = static_cast<std::size_t>(std::min(layout.rows, block.rows - first));
      for (std::size_t row = 0; row < rows && k > 0; ++row) {
        const std::size_t at = (static_cast<std::size_t>(first) + row) * k;
        top_of({data + row * layout.row_bytes, layout.row_bytes}, shape.dtype,
               std::span(block.top.ids).subspan(at, k),
               std::span(block.top.log_probabilities).subspan(at, k));
      }
      if (!wanted.keep_logits) continue;
      std::memset(data + rows * layout.row_bytes, 0, layout.bytes() - rows * layout.row_bytes);
      block.chunks.push_back(encode_chunk(data, layout.bytes(), size_of(shape.dtype), options.compression));
    }
  }

  static void hash(Stream& stream, const Block& block) {
    if (!stream.hashes) return;
    const auto& layout = stream.layout;
    for (std::int64_t first = 0; first < block.rows; first += layout.rows) {
      const auto rows = static_cast<std::size_t>(std::min(layout.rows, block.rows - first));
      stream.hash.update(block.memory.get() + static_cast<std::size_t>(first / layout.rows) * layout.stride(),
                         rows * layout.row_bytes);
    }
  }

  PartFile& file_of(Stream& stream) const {
    if (!stream.file)
      stream.file =
          std::make_shared<PartFile>(options, part_path(parts_directory(options.output), stream.id));
    return *stream.file;
  }

  // rows_in_all: of the prompt, where it has ended.
  void write(Stream& stream, Block& block, std::optional<std::int64_t> rows_in_all) const {
    if (wanted.before_write) wanted.before_write();
    stream.top.ids.insert(stream.top.ids.end(), block.top.ids.begin(), block.top.ids.end());
    stream.top.log_probabilities.insert(stream.top.log_probabilities.end(),
                                        block.top.log_probabilities.begin(),
                                        block.top.log_probabilities.end());
    if (!wanted.keep_logits) return;
    PartFile& file = file_of(stream);
    file.write([&](hid_t root) {
      if (!stream.logits) stream.logits.emplace(root, shape, stream.at_most, options.compression);
      if (rows_in_all) stream.logits->end_at(*rows_in_all);
      for (std::size_t i = 0; i < block.chunks.size(); ++i)
        stream.logits->write(block.first + static_cast<std::int64_t>(i) * stream.layout.rows,
                             block.chunks[i]);
    });
    block.chunks.clear();
  }

  void finish_part(Stream& stream) const {
    PromptRecord& record = stream.record;
    if (record.hash.empty()) record.hash = stream.hash.hex();
    if (wanted.top_k > 0) {
      record.top = std::move(stream.top);
      record.top.k = wanted.top_k;
    }
    PartFile& file = file_of(stream);
    std::vector<Extent> extents;
    file.write([&](hid_t root) {
      write_schema(root);
      h5::write_attribute(root, "resume_key", resume_key);
      if (stream.logits) {
        stream.logits->end_at(stream.rows);
        extents = std::move(stream.logits->extents());
      }
      write_prompt(create_prompts_group(root), record, stream.logits ? &*stream.logits : nullptr,
                   options.compression);
      stream.logits.reset();
    });
    file.close(std::move(extents));
  }

  // The next thing to do, which the caller does without the mutex and then calls what it returned.
  // Writing first: it makes room.
  std::optional<Task> next() {
    if (error != nullptr) return std::nullopt;
    for (std::size_t i = 0; i < streams.size() && !writing; ++i) {
      const auto stream = streams[i];
      if (stream->dropped && stream->busy == 0) {
        streams.erase(streams.begin() + static_cast<std::ptrdiff_t>(i--));
        continue;
      }
      if (!stream->to_write.empty() && stream->to_write.front()->encoded) return writing_task(stream);
      if (stream->ended && stream->to_write.empty() && stream->to_hash.empty() && stream->busy == 0)
        return finishing_task(stream);
    }
    for (const auto& stream : streams)
      if (!stream->hashing && !stream->to_hash.empty()) return hashing_task(stream);
    for (const auto& stream : streams)
      if (!stream->to_encode.empty()) return encoding_task(stream);
    return std::nullopt;
  }

  // Runs `work` without the mutex, `after` with it.
  template <typename Work, typename After>
  Task task(std::shared_ptr<Stream> stream, Work work, After after) {
    ++stream->busy;
    return [this, stream = std::move(stream), work = std::move(work), after = std::move(after)] {
      bool failed = false;
      try {
        work();
      } catch (...) {  // handed to the next call of who records
        failed = true;
        std::unique_lock lock(mutex);
        fail(lock);
      }
      const std::lock_guard lock(mutex);
      --stream->busy;
      after(failed);
      work_changed.notify_all();
      all_changed.notify_all();
    };
  }

  Task writing_task(const std::shared_ptr<Stream>& stream) {
    writing = true;
    const auto block = stream->to_write.front();
    stream->to_write.pop_front();
    std::optional<std::int64_t> rows;
    if (stream->ended) rows = stream->rows;
    return task(
        stream, [this, stream, block, rows] { write(*stream, *block, rows); },
        [this, stream, block](bool) {
          writing = false;
          released(*block);
          to_flush = stream->file;
        });
  }

  Task finishing_task(const std::shared_ptr<Stream>& stream) {
    writing = true;
    streams.erase(std::find(streams.begin(), streams.end(), stream));
    return task(
        stream, [this, stream] { finish_part(*stream); },
        [this, stream](bool failed) {
          writing = false;
          bytes -= std::min(bytes, stream->record_bytes);
          room_changed.notify_all();
          if (!failed && error == nullptr) to_publish.push_back(std::move(stream->file));
        });
  }

  Task hashing_task(const std::shared_ptr<Stream>& stream) {
    stream->hashing = true;
    const auto block = stream->to_hash.front();
    stream->to_hash.pop_front();
    return task(
        stream, [stream, block] { hash(*stream, *block); },
        [this, stream, block](bool) {
          stream->hashing = false;
          released(*block);
        });
  }

  Task encoding_task(const std::shared_ptr<Stream>& stream) {
    const auto block = stream->to_encode.front();
    stream->to_encode.pop_front();
    return task(
        stream, [this, stream, block] { encode(*stream, *block); }, [block](bool) { block->encoded = true; });
  }

  bool all_done() const {
    const bool idle = std::none_of(streams.begin(), streams.end(),
                                   [](const auto& stream) { return stream->ended || stream->busy > 0; });
    return error != nullptr || (idle && !writing && to_publish.empty() && !publishing);
  }

  void work() {
    std::unique_lock lock(mutex);
    while (true) {
      auto task = next();
      if (!task) {
        if (closing) return;
        work_changed.wait(lock);
        continue;
      }
      lock.unlock();
      (*task)();
      task.reset();
      lock.lock();
    }
  }

  // Has the disk begin at once, beside the writing: asking it may wait, too.
  void begin_flushing() {
    std::unique_lock lock(mutex);
    while (true) {
      all_changed.wait(lock, [&] { return closing || to_flush != nullptr; });
      if (closing) return;
      const auto part = std::move(to_flush);
      lock.unlock();
      part->start_flushing();
      lock.lock();
    }
  }

  // Flushing waits for the disk while others go on.
  void publish_parts() {
    std::unique_lock lock(mutex);
    while (true) {
      all_changed.wait(lock, [&] { return closing || !to_publish.empty(); });
      if (to_publish.empty()) return;
      auto part = std::move(to_publish.front());
      to_publish.pop_front();
      publishing = true;
      lock.unlock();
      try {
        part->publish();
      } catch (...) {
        lock.lock();
        fail(lock);
        lock.unlock();
      }
      part.reset();
      lock.lock();
      publishing = false;
      all_changed.notify_all();
    }
  }

  void wait_for_all() {
    std::unique_lock lock(mutex);
    all_changed.wait(lock, [&] { return all_done(); });
  }

  void stop() {
    wait_for_all();
    {
      const std::lock_guard lock(mutex);
      closing = true;
    }
    work_changed.notify_all();
    all_changed.notify_all();
    for (auto& thread : threads) thread.join();
    threads.clear();
    streams.clear();  // of prompts that were not ended
    to_flush.reset();
    spare.clear();
  }

  void rethrow() const {
    if (error != nullptr) std::rethrow_exception(error);
  }

  // Waits until there is room for that many more. What is larger than all room goes alone.
  void take_room(std::unique_lock<std::mutex>& lock, std::size_t more) {
    const auto fits = [&] { return error != nullptr || bytes == 0 || bytes + more <= wanted.most_bytes; };
    if (!fits()) {
      const auto begin = Clock::now();
      waits = true;
      all_changed.notify_all();
      room_changed.wait(lock, fits);
      waits = false;
      waited_seconds += std::chrono::duration<double>(Clock::now() - begin).count();
    }
    rethrow();
    bytes += more;
  }

  std::shared_ptr<Block> new_block(const Stream& stream) {
    auto block = std::make_shared<Block>();
    const std::int64_t rows = std::min(stream.block_rows, stream.at_most - stream.rows);
    const std::int64_t chunks = (rows + stream.layout.rows - 1) / stream.layout.rows;
    block->bytes = static_cast<std::size_t>(chunks) * stream.layout.stride();
    block->first = stream.rows;
    const std::lock_guard lock(mutex);
    if (block->bytes == spare_bytes && !spare.empty()) {
      block->memory = std::move(spare.back());
      spare.pop_back();
    } else {
      block->memory = new_memory(block->bytes);
    }
    return block;
  }

  void submit(Stream& stream) {
    std::unique_lock lock(mutex);
    take_room(lock, stream.filling->bytes);
    stream.push(std::move(stream.filling));
    lock.unlock();
    work_changed.notify_all();
  }
};

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
  state.shape = {storage_of(run.logits_dtype), run.model.vocabulary};
  state.wanted = std::move(rows);
  state.wanted.top_k = std::min(state.wanted.top_k, run.model.vocabulary);
  const auto layout = chunk_layout(state.shape, std::numeric_limits<std::int64_t>::max());
  state.spare_bytes = chunks_of_block(layout) * layout.stride();
  constexpr int kMostThreads = 8;
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  const int threads =
      state.wanted.threads > 0 ? state.wanted.threads : std::clamp(cores + 1, 2, kMostThreads);
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
  const std::lock_guard lock(state_->mutex);
  state_->rethrow();
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
    Block& block = *stream.filling;
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
  rows.stream_->hashes = record.hash.empty();
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
