#include "common/names_text.hpp"

#include <fmt/ranges.h>

#include <algorithm>

namespace shardrift {

std::string names_text(const std::vector<std::string>& names, std::size_t shown) {
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(std::min(shown, names.size()));
  return fmt::format("{}{}", fmt::join(names.begin(), end, ", "),
                     end == names.end() ? "" : fmt::format(" and {} more", names.end() - end));
}

}  // namespace shardrift
