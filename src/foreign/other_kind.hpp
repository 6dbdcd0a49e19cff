// Files that import does not take, told by their first bytes.
#pragma once
#include <filesystem>

namespace shardrift::foreign {

// Throws bad_data saying what the file is and what to do, where it is a record, another HDF5 file, a zip
// archive (.npz, torch's .pt) or a .npy file that does not begin as one.
void refuse_other_kind(const std::filesystem::path& path);

}  // namespace shardrift::foreign
