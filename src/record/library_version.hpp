#pragma once
#include <string>

namespace shardrift::record {

std::string hdf5_version();  // of the library loaded now, "1.10.8"

}  // namespace shardrift::record
