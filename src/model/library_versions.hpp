// What the matrix products run on, for the record.
#pragma once
#include <map>
#include <string>

namespace shardrift {

void add_torch_versions(std::map<std::string, std::string>& libraries,
                        std::map<std::string, std::string>& settings);

}  // namespace shardrift
