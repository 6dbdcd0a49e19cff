// The last 24 bytes of a part: a hash of everything before them, so that damage anywhere in the file is found
// without giving the file to HDF5, which reads over what follows its own end. Private to src/record.
#pragma once
#include <filesystem>

namespace shardrift::record {

enum class Seal {
  whole,   // every byte is as it was written
  broken,  // not
  none,    // written without, by an older version; or cut short
};

// Appends the seal. Throws failure naming the file.
void seal(const std::filesystem::path& path);
Seal seal_of(const std::filesystem::path& path);  // broken also where it cannot be read

}  // namespace shardrift::record
