// Copying a finished prompt from its part into the assembled file. Private to src/record.
#pragma once
#include <cstddef>
#include <functional>
#include <string>

#include "record/hdf5_handles.hpp"

namespace shardrift::record::h5 {

// The group `name` of `from` becomes a child of `to`, with all groups, chunked datasets and attributes below
// it, stored chunks as they are: no decoding, one chunk in memory. Throws Hdf5Error. Not H5Ocopy: on a full
// disk 1.10.8's frees its chunk buffer twice and takes the process with it.
// copied(bytes) is called after each chunk.
void copy_group(hid_t from, const std::string& name, hid_t to,
                const std::function<void(std::size_t)>& copied);

}  // namespace shardrift::record::h5
