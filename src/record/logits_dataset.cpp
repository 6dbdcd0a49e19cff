#include "record/logits_dataset.hpp"

#include <algorithm>
#include <array>

#include "record/hdf5_types.hpp"
#include "record/hdf5_write.hpp"

namespace shardrift::record {
namespace {

// Chunks of at least this many bytes: one row of a real vocabulary, several rows of a small one.
constexpr std::size_t kChunkBytes = 256U << 10U;
constexpr const char* kWhat = "dataset logits";

std::array<hsize_t, 2> dims_of(const LogitsShape& shape, std::int64_t rows) {
  return {static_cast<hsize_t>(rows), static_cast<hsize_t>(shape.vocabulary)};
}

}  // namespace

ChunkLayout chunk_layout(const LogitsShape& shape, std::int64_t at_most) {
  ChunkLayout layout;
  layout.row_bytes = static_cast<std::size_t>(shape.vocabulary) * size_of(shape.dtype);
  layout.rows = std::clamp<std::int64_t>(static_cast<std::int64_t>(kChunkBytes / layout.row_bytes), 1,
                                         std::max<std::int64_t>(1, at_most));
  return layout;
}

LogitsDataset::LogitsDataset(hid_t file, const LogitsShape& shape, std::int64_t at_most, int deflate)
    : rows_(at_most) {
  const auto layout = chunk_layout(shape, at_most);
  dataset_ = h5::create_dataset_anonymous(
      file, h5::float_type(shape.dtype), dims_of(shape, at_most),
      "logits after each fed token, [steps, vocabulary], unnormalised",
      {.chunk_rows = static_cast<hsize_t>(layout.rows), .deflate = deflate}, kWhat);
}

void LogitsDataset::end_at(std::int64_t rows) {
  if (rows == rows_) return;
  std::array<hsize_t, 2> dims{};
  const h5::Handle space(H5Dget_space(dataset_), H5Sclose, kWhat);
  h5::check(H5Sget_simple_extent_dims(space, dims.data(), nullptr), kWhat);
  dims[0] = static_cast<hsize_t>(rows);
  h5::check(H5Dset_extent(dataset_, dims.data()), kWhat);
  rows_ = rows;
}

void LogitsDataset::write(std::int64_t first_row, const EncodedChunk& chunk) {
  const std::array<hsize_t, 2> offset{static_cast<hsize_t>(first_row), 0};
  h5::check(H5Dwrite_chunk(dataset_, H5P_DEFAULT, 0, offset.data(), chunk.bytes.size(), chunk.bytes.data()),
            kWhat);
#if H5_VERSION_GE(1, 10, 5)
  unsigned skipped = 0;
  haddr_t address = HADDR_UNDEF;
  hsize_t size = 0;
  h5::check(H5Dget_chunk_info_by_coord(dataset_, offset.data(), &skipped, &address, &size), kWhat);
  extents_.push_back(chunk.extent);
  extents_.back().offset = address;
#endif
}

void LogitsDataset::link(hid_t group) {
  h5::check(H5Olink(dataset_, group, "logits", H5P_DEFAULT, H5P_DEFAULT), kWhat);
  dataset_.close(kWhat);
}

}  // namespace shardrift::record
