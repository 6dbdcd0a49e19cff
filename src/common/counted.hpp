// Numbers of things, for people.
#pragma once
#include <fmt/core.h>

#include <concepts>
#include <string>
#include <string_view>

namespace shardrift {

// "1 prompt", "3 prompts"; `several` where that is not `one` with an s: "2 studies".
std::string counted(std::integral auto count, std::string_view one, std::string_view several = {}) {
  if (count == 1) return fmt::format("1 {}", one);
  return several.empty() ? fmt::format("{} {}s", count, one) : fmt::format("{} {}", count, several);
}

}  // namespace shardrift
