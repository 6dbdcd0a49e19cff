// The logits of one prompt, written chunk by chunk, as its rows come. Private to src/record.
#pragma once
#include <cstdint>
#include <vector>

#include "record/chunk_codec.hpp"
#include "record/hdf5_handles.hpp"
#include "record/schema.hpp"
#include "record/seal.hpp"

namespace shardrift::record {

// How rows lie in chunks: one row, or several of a small vocabulary.
struct ChunkLayout {
  std::int64_t rows = 1;  // of a chunk
  std::size_t row_bytes = 0;
  std::size_t bytes() const { return static_cast<std::size_t>(rows) * row_bytes; }
  // From chunk to chunk in memory: room for the checksum.
  std::size_t stride() const { return (bytes() + kChecksumBytes + 63) / 64 * 64; }
};
// at_most: rows of the dataset.
ChunkLayout chunk_layout(const LogitsShape& shape, std::int64_t at_most);

// Nameless until it is linked into its prompt's group. All throw h5::Hdf5Error; the caller holds the lock.
class LogitsDataset {
 public:
  LogitsDataset(hid_t file, const LogitsShape& shape, std::int64_t at_most, int deflate);
  // Called before the chunk is written that holds the last of fewer rows than at_most.
  void end_at(std::int64_t rows);
  void write(std::int64_t first_row, const EncodedChunk& chunk);
  // Makes it `logits` of the group, and closes it.
  void link(hid_t group);
  // Where the chunks lie; empty where this version of HDF5 does not say.
  std::vector<Extent>& extents() { return extents_; }

 private:
  h5::Handle dataset_;
  std::int64_t rows_;
  std::vector<Extent> extents_;
};

}  // namespace shardrift::record
