// What PartWriter's threads share: rows of the prompts that run, block by block, and what is to be done with
// each of them. Internal to PartWriter.
#pragma once
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/hash.hpp"
#include "record/logits_dataset.hpp"
#include "record/part_file.hpp"
#include "record/writer.hpp"

namespace shardrift::record {

struct FreeMemory {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using BlockMemory = std::unique_ptr<std::byte[], FreeMemory>;

// Some rows of a prompt on their way, chunk after chunk.
struct RowBlock {
  BlockMemory memory;
  std::size_t bytes = 0;  // of the memory
  std::int64_t first = 0;
  std::int64_t rows = 0;
  std::vector<EncodedChunk> chunks;
  Top top;
  bool encoded = false;
  int uses = 2;  // to be hashed, to be written
};
std::size_t chunks_of_block(const ChunkLayout& layout);

struct PartWriter::Stream {
  std::string id;
  std::int64_t at_most = 0;
  ChunkLayout layout;
  std::int64_t block_rows = 0;
  bool hashes = true;

  // Of who appends.
  std::shared_ptr<RowBlock> filling;
  std::int64_t rows = 0;

  // Under the writer's mutex.
  std::deque<std::shared_ptr<RowBlock>> to_encode, to_hash, to_write;
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

  void push(std::shared_ptr<RowBlock> block) {
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
  Numerics numerics;
  LogitsShape shape;
  RowOptions wanted;

  mutable std::mutex mutex;
  std::condition_variable work_changed, room_changed, all_changed;
  std::vector<std::shared_ptr<Stream>> streams;
  std::vector<BlockMemory> spare;      // of blocks of the usual size
  std::size_t spare_bytes = 0;         // of each of them
  std::shared_ptr<PartFile> to_flush;  // the one written last
  std::deque<std::shared_ptr<PartFile>> to_publish;
  bool publishing = false;
  bool writing = false;  // one task at a time calls HDF5
  std::size_t bytes = 0;
  std::size_t ended = 0;  // of streams: prompts that wait to be finished
  bool waits = false;
  double waited_seconds = 0;
  bool closing = false;
  std::exception_ptr error;
  std::vector<std::thread> threads;

  // What one thread does next, without the mutex.
  using Task = std::function<void()>;

  void fail(std::unique_lock<std::mutex>&);
  void released(RowBlock& block);
  void encode(const Stream& stream, RowBlock& block) const;
  static void hash(Stream& stream, const RowBlock& block);
  PartFile& file_of(Stream& stream) const;
  // rows_in_all: of the prompt, where it has ended.
  void write(Stream& stream, RowBlock& block, std::optional<std::int64_t> rows_in_all) const;
  void finish_part(Stream& stream) const;
  // The next thing to do, which the caller does without the mutex and then calls what it returned.
  // Writing first: it makes room.
  std::optional<Task> next();

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

  Task writing_task(const std::shared_ptr<Stream>& stream);
  Task finishing_task(const std::shared_ptr<Stream>& stream);
  Task hashing_task(const std::shared_ptr<Stream>& stream);
  Task encoding_task(const std::shared_ptr<Stream>& stream);
  bool all_done() const;
  void work();
  // Has the disk begin at once, beside the writing: asking it may wait, too.
  void begin_flushing();
  // Flushing waits for the disk while others go on.
  void publish_parts();
  void wait_for_all();
  void stop();
  void rethrow() const;
  // Until it is so, or an error has come; the time counts as waited.
  void wait_for_room(std::unique_lock<std::mutex>& lock, const std::function<bool()>& fits);
  // Waits until there is room for that many more. What is larger than all room goes alone.
  void take_room(std::unique_lock<std::mutex>& lock, std::size_t more);
  std::shared_ptr<RowBlock> new_block(const Stream& stream);
  void submit(Stream& stream);
};

}  // namespace shardrift::record
