#include "common/named_enum.hpp"

#include "common/error.hpp"

namespace shardrift::named_enum {

std::string listed(std::span<const std::string_view> names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " or " : ", ";
    text += names[i];
  }
  return text;
}

void refuse(std::string_view what, std::string_view name, std::span<const std::string_view> known) {
  throw usage_error("unknown {} '{}': use {}", what, name, listed(known));
}

}  // namespace shardrift::named_enum
