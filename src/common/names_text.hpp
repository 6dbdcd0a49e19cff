// Lists of names in sentences.
#pragma once
#include <string>
#include <vector>

namespace shardrift {

// "p1, p2, p3 and 7 more": at most `shown` of them by name.
std::string names_text(const std::vector<std::string>& names, std::size_t shown);

}  // namespace shardrift
