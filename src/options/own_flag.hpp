// The row of a flag that one command alone has, under a heading of its own (table_flags.hpp's describe_own).
#pragma once
#include <string_view>

namespace shardrift {

template <typename Access>
struct OwnFlag {
  std::string_view key;
  Access access;
  std::string_view help;
};
template <typename Access>
OwnFlag(std::string_view, Access, std::string_view) -> OwnFlag<Access>;

}  // namespace shardrift
