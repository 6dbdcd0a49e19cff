#pragma once
#include <string>

namespace shardrift {

std::string host_name();  // of this machine, as gethostname(2) says; empty where it does not

}  // namespace shardrift
