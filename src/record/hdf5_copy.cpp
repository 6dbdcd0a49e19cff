#include "record/hdf5_copy.hpp"

#include <algorithm>
#include <vector>

namespace shardrift::record::h5 {
namespace {

// Names in the order they were created. Called from C: nothing may be thrown through it.
herr_t collect(void* out, const char* name) noexcept {
  try {
    static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
  } catch (...) {
    return -1;
  }
}
herr_t collect_link(hid_t /*group*/, const char* name, const H5L_info_t* /*info*/, void* out) {
  return collect(out, name);
}
herr_t collect_attribute(hid_t /*object*/, const char* name, const H5A_info_t* /*info*/, void* out) {
  return collect(out, name);
}

void copy_attributes(hid_t from, hid_t to) {
  std::vector<std::string> names;
  check(H5Aiterate2(from, H5_INDEX_NAME, H5_ITER_INC, nullptr, collect_attribute, &names), "attributes");
  for (const auto& name : names) {
    const Handle source(H5Aopen(from, name.c_str(), H5P_DEFAULT), H5Aclose, name);
    const Handle type(H5Aget_type(source), H5Tclose, name);
    const Handle space(H5Aget_space(source), H5Sclose, name);
    std::vector<std::byte> value(H5Aget_storage_size(source));
    check(H5Aread(source, type, value.data()), name);
    Handle copy(H5Acreate2(to, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose, name);
    check(H5Awrite(copy, type, value.data()), name);
    copy.close(name);
  }
}

// The next chunk's offset in the grid, last dimension fastest; false after the last.
bool advance(std::vector<hsize_t>& offset, const std::vector<hsize_t>& dims,
             const std::vector<hsize_t>& chunk) {
  for (std::size_t i = dims.size(); i-- > 0;) {
    offset[i] += chunk[i];
    if (offset[i] < dims[i]) return true;
    offset[i] = 0;
  }
  return false;
}

void copy_chunks(hid_t from, hid_t to, hid_t space, hid_t properties, const std::string& name,
                 const std::function<void(std::size_t)>& copied) {
  const int rank = H5Sget_simple_extent_ndims(space);
  check(rank, name);
  std::vector<hsize_t> dims(static_cast<std::size_t>(rank));
  check(H5Sget_simple_extent_dims(space, dims.data(), nullptr), name);
  if (std::find(dims.begin(), dims.end(), hsize_t{0}) != dims.end()) return;
  if (H5Pget_layout(properties) != H5D_CHUNKED) throw Hdf5Error(name + ": is not chunked");
  std::vector<hsize_t> chunk(dims.size());
  check(H5Pget_chunk(properties, rank, chunk.data()), name);
  std::vector<hsize_t> offset(dims.size());
  std::vector<std::byte> bytes;
  do {
    hsize_t stored = 0;
    check(H5Dget_chunk_storage_size(from, offset.data(), &stored), name);
    bytes.resize(stored);
    std::uint32_t skipped_filters = 0;
    check(H5Dread_chunk(from, H5P_DEFAULT, offset.data(), &skipped_filters, bytes.data()), name);
    check(H5Dwrite_chunk(to, H5P_DEFAULT, skipped_filters, offset.data(), bytes.size(), bytes.data()), name);
    copied(bytes.size());
  } while (advance(offset, dims, chunk));
}

// Not the source's own property list: of a group with more than 8 links it names the heap in the source's
// file that holds them, and HDF5 1.10.8 believes that of the copy as well.
Handle group_properties(hid_t source, const std::string& name) {
  const Handle own(H5Gget_create_plist(source), H5Pclose, name);
  unsigned order = 0;
  check(H5Pget_link_creation_order(own, &order), name);
  Handle properties(H5Pcreate(H5P_GROUP_CREATE), H5Pclose, name);
  check(H5Pset_link_creation_order(properties, order), name);
  check(H5Pset_obj_track_times(properties, false), name);
  return properties;
}

void copy_dataset(hid_t source, const std::string& name, hid_t to,
                  const std::function<void(std::size_t)>& copied) {
  const Handle type(H5Dget_type(source), H5Tclose, name);
  const Handle space(H5Dget_space(source), H5Sclose, name);
  const Handle properties(H5Dget_create_plist(source), H5Pclose, name);
  Handle copy(H5Dcreate2(to, name.c_str(), type, space, H5P_DEFAULT, properties, H5P_DEFAULT), H5Dclose,
              name);
  copy_attributes(source, copy);
  copy_chunks(source, copy, space, properties, name, copied);
  copy.close(name);
}

}  // namespace

void copy_group(hid_t from, const std::string& name, hid_t to,
                const std::function<void(std::size_t)>& copied) {
  const Handle source(H5Gopen2(from, name.c_str(), H5P_DEFAULT), H5Gclose, name);
  const Handle properties = group_properties(source, name);
  const Handle copy(H5Gcreate2(to, name.c_str(), H5P_DEFAULT, properties, H5P_DEFAULT), H5Gclose, name);
  copy_attributes(source, copy);
  std::vector<std::string> names;
  check(H5Literate(source, H5_INDEX_CRT_ORDER, H5_ITER_INC, nullptr, collect_link, &names), name);
  for (const auto& child : names) {
    Handle object(H5Oopen(source, child.c_str(), H5P_DEFAULT), H5Oclose, child);
    if (H5Iget_type(object) == H5I_GROUP)
      copy_group(source, child, copy, copied);
    else
      copy_dataset(object, child, copy, copied);
  }
}

}  // namespace shardrift::record::h5
