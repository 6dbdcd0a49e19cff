#include "common/listed_names.hpp"

#include "common/error.hpp"
#include "common/text.hpp"

namespace shardrift {

std::vector<std::string> listed_names(std::string_view flag, std::string_view list) {
  if (is_blank(list)) return {};
  std::vector<std::string> names;
  for (const auto& part : split(std::string(list) + ",", ',')) {
    if (is_blank(part))
      throw usage_error("{} '{}': a name is missing beside a comma: take the comma out or name it", flag,
                        list);
    names.emplace_back(trimmed(part));
  }
  return names;
}

}  // namespace shardrift
