#include <algorithm>
#include <limits>

#include "common/error.hpp"
#include "record/hdf5_read.hpp"

namespace shardrift::record::h5 {
namespace {

constexpr std::uint64_t kMaxChunkBytes = 64ULL
                                         << 20U;  // the library holds a whole chunk to read a part of it
constexpr std::uint64_t kMaxDeflateRatio = 1032;  // of the format: no valid stream grows more
constexpr std::uint64_t kMaxWholeBytes = 512ULL << 20U;
constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max();

std::uint64_t product(const std::vector<hsize_t>& factors, std::uint64_t start) {
  std::uint64_t result = start;
  for (const hsize_t factor : factors) {
    if (factor != 0 && result > kHuge / factor) return kHuge;
    result *= factor;
  }
  return result;
}

std::string shape(const std::vector<hsize_t>& dims) {
  std::string text;
  for (const hsize_t dim : dims) text += fmt::format("{}{}", text.empty() ? "" : ", ", dim);
  return "[" + text + "]";
}

// True where a filter may make stored bytes fewer than the elements'.
bool check_filters(hid_t properties, const std::string& path) {
  bool shrinks = false;
  const int count = H5Pget_nfilters(properties);
  check(count, path);
  for (int i = 0; i < count; ++i) {
    unsigned flags = 0;
    std::size_t values = 0;
    unsigned config = 0;
    const auto filter =
        H5Pget_filter2(properties, static_cast<unsigned>(i), &flags, &values, nullptr, 0, nullptr, &config);
    check(filter, path);
    if (filter == H5Z_FILTER_DEFLATE) shrinks = true;
    // Anything else may make the library look for a plugin to load: a record needs none.
    else if (filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_FLETCHER32)
      throw Hdf5Error(
          fmt::format("{}: uses HDF5 filter {}, records use deflate and fletcher32 only", path, filter));
  }
  return shrinks;
}

}  // namespace

Dataset::Dataset(Handle handle, std::string path, std::uint64_t file_bytes)
    : handle_(std::move(handle)), path_(std::move(path)), file_bytes_(file_bytes) {
  const Handle space(H5Dget_space(handle_), H5Sclose, path_);
  const int rank = H5Sget_simple_extent_ndims(space);
  check(rank, path_);
  dims_.resize(static_cast<std::size_t>(rank));
  check(H5Sget_simple_extent_dims(space, dims_.data(), nullptr), path_);

  const Handle type(H5Dget_type(handle_), H5Tclose, path_);
  element_bytes_ = H5Tget_size(type);
  if (element_bytes_ == 0) throw Hdf5Error(path_ + ": elements of no size");

  const Handle properties(H5Dget_create_plist(handle_), H5Pclose, path_);
  const auto layout = H5Pget_layout(properties);
  if (layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED)
    throw Hdf5Error(path_ + ": its data lie in another file; records hold their data themselves");
  if (layout == H5D_CONTIGUOUS && H5Pget_external_count(properties) != 0)
    throw Hdf5Error(path_ + ": its data lie in another file; records hold their data themselves");
  deflated_ = check_filters(properties, path_);
  if (layout != H5D_CHUNKED) return;
  std::vector<hsize_t> chunk(dims_.size());
  if (H5Pget_chunk(properties, rank, chunk.data()) != rank)
    throw Hdf5Error(path_ + ": chunks of another rank");
  if (product(chunk, element_bytes_) > kMaxChunkBytes)
    throw Hdf5Error(fmt::format("{}: chunks of {} elements are too large", path_, shape(chunk)));
}

void Dataset::require_dims(const std::vector<hsize_t>& dims) const {
  if (dims_ != dims)
    throw Hdf5Error(fmt::format("{}: has shape {}, not {}", path_, shape(dims_), shape(dims)));
}

bool Dataset::has_type(hid_t type) const {
  const Handle own(H5Dget_type(handle_), H5Tclose, path_);
  return check_bool(H5Tequal(own, type), path_);
}

void Dataset::require_type(hid_t type, const char* name) const {
  if (!has_type(type)) throw Hdf5Error(fmt::format("{}: is not of type {}", path_, name));
}

void Dataset::require_stored() const {
  const std::uint64_t wanted = product(dims_, element_bytes_);
  if (wanted == 0) return;
  const std::uint64_t stored = std::min<std::uint64_t>(H5Dget_storage_size(handle_), file_bytes_);
  const std::uint64_t most =
      deflated_ ? (stored > kHuge / kMaxDeflateRatio ? kHuge : stored * kMaxDeflateRatio) : stored;
  if (wanted > most)
    throw Hdf5Error(fmt::format("{}: claims {} bytes (shape {}), the file stores {}", path_, wanted,
                                shape(dims_), stored));
}

void Dataset::require_readable() const {
  require_stored();
  if (product(dims_, element_bytes_) > kMaxWholeBytes)
    throw Hdf5Error(fmt::format("{}: shape {} is too large", path_, shape(dims_)));
}

void Dataset::require_uncompressed() const {
  if (deflated_) throw Hdf5Error(path_ + ": is compressed");
  require_stored();
}

void Dataset::read(hid_t type, void* out) const {
  if (product(dims_, element_bytes_) == 0) return;
  check(H5Dread(handle_, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out), path_);
}

void Dataset::read_rows(hid_t type, std::uint64_t begin, std::uint64_t end, void* out) const {
  read_block(type, {begin, 0}, {end - begin, dims_.at(1)}, out);
}

void Dataset::read_plane_rows(hid_t type, std::uint64_t i, std::uint64_t begin, std::uint64_t end,
                              void* out) const {
  read_block(type, {i, begin, 0}, {1, end - begin, dims_.at(2)}, out);
}

void Dataset::read_block(hid_t type, const std::vector<hsize_t>& start, const std::vector<hsize_t>& count,
                         void* out) const {
  if (product(count, 1) == 0) return;
  const Handle file_space(H5Dget_space(handle_), H5Sclose, path_);
  check(H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr), path_);
  const Handle memory_space(H5Screate_simple(static_cast<int>(count.size()), count.data(), nullptr), H5Sclose,
                            path_);
  check(H5Dread(handle_, type, memory_space, file_space, H5P_DEFAULT, out),
        path_ + fmt::format(" from {}, {}", shape(start), shape(count)));
}

}  // namespace shardrift::record::h5
