#include "record/part_pipeline.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "record/files.hpp"
#include "record/hdf5_write.hpp"
#include "record/row_top.hpp"

namespace shardrift::record {
namespace {

using Clock = std::chrono::steady_clock;

// Taken anew in large pages: blocks are filled once each at first, and a fault a small page would cost as
// much as what is done with the rows.
BlockMemory new_memory(std::size_t bytes) {
  constexpr std::size_t kLargePage = std::size_t{2} << 20U;
  constexpr std::size_t kLine = 64;
  const std::size_t alignment = bytes < kLargePage ? kLine : kLargePage;
  auto* const memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  if (bytes >= kLargePage) (void)::madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  return BlockMemory(static_cast<std::byte*>(memory));
}

}  // namespace

std::size_t chunks_of_block(const ChunkLayout& layout) {
  return std::max<std::size_t>(1, kRowBlockBytes / layout.stride());
}

void PartWriter::State::fail(std::unique_lock<std::mutex>&) {
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

void PartWriter::State::released(RowBlock& block) {
  if (--block.uses > 0) return;
  bytes -= std::min(bytes, block.bytes);
  if (block.bytes == spare_bytes) spare.push_back(std::move(block.memory));
  room_changed.notify_all();
}

void PartWriter::State::encode(const Stream& stream, RowBlock& block) const {
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
             std::span(block.top.ids).subspan(at, k), std::span(block.top.log_probabilities).subspan(at, k));
    }
    if (!wanted.keep_logits) continue;
    std::memset(data + rows * layout.row_bytes, 0, layout.bytes() - rows * layout.row_bytes);
    block.chunks.push_back(encode_chunk(data, layout.bytes(), size_of(shape.dtype), options.compression));
  }
}

void PartWriter::State::hash(Stream& stream, const RowBlock& block) {
  if (!stream.hashes) return;
  const auto& layout = stream.layout;
  for (std::int64_t first = 0; first < block.rows; first += layout.rows) {
    const auto rows = static_cast<std::size_t>(std::min(layout.rows, block.rows - first));
    stream.hash.update(block.memory.get() + static_cast<std::size_t>(first / layout.rows) * layout.stride(),
                       rows * layout.row_bytes);
  }
}

PartFile& PartWriter::State::file_of(Stream& stream) const {
  if (!stream.file)
    stream.file = std::make_shared<PartFile>(options, part_path(parts_directory(options.output), stream.id));
  return *stream.file;
}

void PartWriter::State::write(Stream& stream, RowBlock& block,
                              std::optional<std::int64_t> rows_in_all) const {
  if (wanted.before_write) wanted.before_write();
  stream.top.ids.insert(stream.top.ids.end(), block.top.ids.begin(), block.top.ids.end());
  stream.top.log_probabilities.insert(stream.top.log_probabilities.end(), block.top.log_probabilities.begin(),
                                      block.top.log_probabilities.end());
  if (!wanted.keep_logits) return;
  PartFile& file = file_of(stream);
  file.write([&](hid_t root) {
    if (!stream.logits) stream.logits.emplace(root, shape, stream.at_most, options.compression);
    if (rows_in_all) stream.logits->end_at(*rows_in_all);
    for (std::size_t i = 0; i < block.chunks.size(); ++i)
      stream.logits->write(block.first + static_cast<std::int64_t>(i) * stream.layout.rows, block.chunks[i]);
  });
  block.chunks.clear();
}

void PartWriter::State::finish_part(Stream& stream) const {
  PromptRecord& record = stream.record;
  if (stream.hashes && record.hash.empty()) record.hash = stream.hash.hex();
  if (wanted.top_k > 0) {
    record.top = std::move(stream.top);
    record.top.k = wanted.top_k;
  }
  PartFile& file = file_of(stream);
  std::vector<Extent> extents;
  file.write([&](hid_t root) {
    write_part_of(root, resume_key, numerics);
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

std::optional<PartWriter::State::Task> PartWriter::State::next() {
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

PartWriter::State::Task PartWriter::State::writing_task(const std::shared_ptr<Stream>& stream) {
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

PartWriter::State::Task PartWriter::State::finishing_task(const std::shared_ptr<Stream>& stream) {
  writing = true;
  streams.erase(std::find(streams.begin(), streams.end(), stream));
  --ended;
  return task(
      stream, [this, stream] { finish_part(*stream); },
      [this, stream](bool failed) {
        writing = false;
        bytes -= std::min(bytes, stream->record_bytes);
        room_changed.notify_all();
        if (!failed && error == nullptr) to_publish.push_back(std::move(stream->file));
      });
}

PartWriter::State::Task PartWriter::State::hashing_task(const std::shared_ptr<Stream>& stream) {
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

PartWriter::State::Task PartWriter::State::encoding_task(const std::shared_ptr<Stream>& stream) {
  const auto block = stream->to_encode.front();
  stream->to_encode.pop_front();
  return task(
      stream, [this, stream, block] { encode(*stream, *block); }, [block](bool) { block->encoded = true; });
}

bool PartWriter::State::all_done() const {
  const bool idle = std::none_of(streams.begin(), streams.end(),
                                 [](const auto& stream) { return stream->ended || stream->busy > 0; });
  return error != nullptr || (idle && !writing && to_publish.empty() && !publishing);
}

void PartWriter::State::work() {
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

void PartWriter::State::begin_flushing() {
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

void PartWriter::State::publish_parts() {
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

void PartWriter::State::wait_for_all() {
  std::unique_lock lock(mutex);
  all_changed.wait(lock, [&] { return all_done(); });
}

void PartWriter::State::stop() {
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

void PartWriter::State::rethrow() const {
  if (error != nullptr) std::rethrow_exception(error);
}

void PartWriter::State::wait_for_room(std::unique_lock<std::mutex>& lock, const std::function<bool()>& fits) {
  const auto done = [&] { return error != nullptr || fits(); };
  if (!done()) {
    const auto begin = Clock::now();
    waits = true;
    all_changed.notify_all();
    room_changed.wait(lock, done);
    waits = false;
    waited_seconds += std::chrono::duration<double>(Clock::now() - begin).count();
  }
  rethrow();
}

void PartWriter::State::take_room(std::unique_lock<std::mutex>& lock, std::size_t more) {
  wait_for_room(lock, [&] { return bytes == 0 || bytes + more <= wanted.most_bytes; });
  bytes += more;
}

std::shared_ptr<RowBlock> PartWriter::State::new_block(const Stream& stream) {
  auto block = std::make_shared<RowBlock>();
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

void PartWriter::State::submit(Stream& stream) {
  std::unique_lock lock(mutex);
  take_room(lock, stream.filling->bytes);
  stream.push(std::move(stream.filling));
  lock.unlock();
  work_changed.notify_all();
}

}  // namespace shardrift::record
