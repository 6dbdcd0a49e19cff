// Writing groups, attributes and datasets of schema 1. All throw Hdf5Error. Private to src/record.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "record/hdf5_handles.hpp"

namespace shardrift::record::h5 {

void write_attribute(hid_t object, const std::string& name, std::string_view text);
void write_attribute(hid_t object, const std::string& name, std::int64_t value);
void write_attribute(hid_t object, const std::string& name, double value);
void write_attributes(hid_t object, const std::map<std::string, std::string>& texts);

// description: what the group holds, for h5dump and HDFView. Children keep the order they were created in.
Handle create_group(hid_t parent, const std::string& name, std::string_view description);
Handle create_group(hid_t parent, const std::string& name);  // one that is described by who fills it

struct Layout {
  hsize_t chunk_rows = 0;     // of the first dimension in one chunk, 0 = all
  hsize_t chunk_columns = 0;  // of the second
  int deflate = 0;            // level, 0 = none
};

// Chunked with fletcher32, so that a flipped bit is found when it is read. data: dims' product elements of
// `type`.
void write_dataset(hid_t parent, const std::string& name, hid_t type, std::span<const hsize_t> dims,
                   const void* data, std::string_view description, Layout layout = {});
// One that is filled later and has no name until it is linked. what: for errors.
Handle create_dataset_anonymous(hid_t file, hid_t type, std::span<const hsize_t> dims,
                                std::string_view description, const Layout& layout, const std::string& what);
void write_text(hid_t parent, const std::string& name, std::string_view text, std::string_view description);
// One string a row, padded to the longest.
void write_texts(hid_t parent, const std::string& name, const std::vector<std::string>& texts,
                 std::string_view description);

}  // namespace shardrift::record::h5
