// Names that one flag takes, separated by commas.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace shardrift {

// Without blanks around them. Throws usage_error where one is empty: "a,,b", "a,". An empty list has none.
std::vector<std::string> listed_names(std::string_view flag, std::string_view list);

}  // namespace shardrift
