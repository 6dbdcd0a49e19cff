#include "record/hdf5_write.hpp"

#include <algorithm>
#include <array>

#include "record/hdf5_types.hpp"

namespace shardrift::record::h5 {
namespace {

void write_scalar_attribute(hid_t object, const std::string& name, hid_t type, const void* data) {
  const std::string what = "attribute " + name;
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose, what);
  Handle attribute(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose, what);
  check(H5Awrite(attribute, type, data), what);
  attribute.close(what);
}

Handle dataset_properties(std::span<const hsize_t> dims, const Layout& layout, const std::string& what) {
  Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, what);
  check(H5Pset_obj_track_times(properties, false), what);  // equal runs give equal files
  const bool empty = std::find(dims.begin(), dims.end(), hsize_t{0}) != dims.end();
  if (dims.empty() || empty) return properties;  // scalar or nothing to check
  std::vector<hsize_t> chunk(dims.begin(), dims.end());
  if (layout.chunk_rows > 0) chunk[0] = std::min(chunk[0], layout.chunk_rows);
  if (layout.chunk_columns > 0 && chunk.size() > 1) chunk[1] = std::min(chunk[1], layout.chunk_columns);
  check(H5Pset_chunk(properties, static_cast<int>(chunk.size()), chunk.data()), what);
  if (layout.deflate > 0) {
    check(H5Pset_shuffle(properties), what);
    check(H5Pset_deflate(properties, static_cast<unsigned>(layout.deflate)), what);
  }
  check(H5Pset_fletcher32(properties), what);
  return properties;
}

}  // namespace

void write_attribute(hid_t object, const std::string& name, std::string_view text) {
  const std::string bytes = text.empty() ? std::string(1, '\0') : std::string(text);
  write_scalar_attribute(object, name, text_type(bytes.size()), bytes.data());
}

void write_attribute(hid_t object, const std::string& name, std::int64_t value) {
  write_scalar_attribute(object, name, int64_type(), &value);
}

void write_attribute(hid_t object, const std::string& name, double value) {
  write_scalar_attribute(object, name, float_type(DType::float64), &value);
}

void write_attributes(hid_t object, const std::map<std::string, std::string>& texts) {
  for (const auto& [name, text] : texts)
    if (!name.empty()) write_attribute(object, name, text);
}

Handle create_group(hid_t parent, const std::string& name) {
  const std::string what = "group " + name;
  const Handle properties(H5Pcreate(H5P_GROUP_CREATE), H5Pclose, what);
  check(H5Pset_obj_track_times(properties, false), what);
  check(H5Pset_link_creation_order(properties, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED), what);
  return {H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, properties, H5P_DEFAULT), H5Gclose, what};
}

Handle create_group(hid_t parent, const std::string& name, std::string_view description) {
  Handle group = create_group(parent, name);
  write_attribute(group, "description", description);
  return group;
}

void write_dataset(hid_t parent, const std::string& name, hid_t type, std::span<const hsize_t> dims,
                   const void* data, std::string_view description, Layout layout) {
  const std::string what = "dataset " + name;
  const Handle space(dims.empty() ? H5Screate(H5S_SCALAR)
                                  : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr),
                     H5Sclose, what);
  const Handle properties = dataset_properties(dims, layout, what);
  Handle dataset(H5Dcreate2(parent, name.c_str(), type, space, H5P_DEFAULT, properties, H5P_DEFAULT),
                 H5Dclose, what);
  write_attribute(dataset, "description", description);
  // The memory's type is the file's: words go to disk unconverted.
  if (std::find(dims.begin(), dims.end(), hsize_t{0}) == dims.end())
    check(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data), what);
  // Cached chunks reach the disk only here: a destructor would swallow the error of a full one.
  dataset.close(what);
}

Handle create_dataset_anonymous(hid_t file, hid_t type, std::span<const hsize_t> dims,
                                std::string_view description, const Layout& layout, const std::string& what) {
  const Handle space(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), H5Sclose, what);
  const Handle properties = dataset_properties(dims, layout, what);
  Handle dataset(H5Dcreate_anon(file, type, space, properties, H5P_DEFAULT), H5Dclose, what);
  write_attribute(dataset, "description", description);
  return dataset;
}

void write_text(hid_t parent, const std::string& name, std::string_view text, std::string_view description) {
  const std::string bytes = text.empty() ? std::string(1, '\0') : std::string(text);
  // One row, not a scalar: only chunked data carry a checksum.
  write_dataset(parent, name, text_type(bytes.size()), std::array<hsize_t, 1>{1}, bytes.data(), description);
}

void write_texts(hid_t parent, const std::string& name, const std::vector<std::string>& texts,
                 std::string_view description) {
  std::size_t width = 1;
  for (const auto& text : texts) width = std::max(width, text.size());
  std::string block(width * texts.size(), '\0');
  for (std::size_t i = 0; i < texts.size(); ++i)
    std::copy(texts[i].begin(), texts[i].end(), block.begin() + static_cast<std::ptrdiff_t>(i * width));
  constexpr std::size_t kChunkBytes = 4U << 20U;
  write_dataset(parent, name, text_type(width), std::array<hsize_t, 1>{texts.size()}, block.data(),
                description,
                {.chunk_rows = std::clamp<std::size_t>(kChunkBytes / width, 1, 8192),
                 .deflate = 1});  // mostly padding: deflate takes it to the size of the text
}

}  // namespace shardrift::record::h5
