// The row of a field that is also a flag of shardrift-run: its key with dashes.
#pragma once
#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "common/field_table.hpp"
#include "common/named_enum.hpp"

namespace shardrift {

// The headings of the help text.
enum class FlagGroup { files, plan, numerics, mode };
constexpr auto names_of(FlagGroup) {
  return std::to_array<Named<FlagGroup>>({{FlagGroup::files, "What to run"},
                                          {FlagGroup::plan, "Plan"},
                                          {FlagGroup::numerics, "Numerics"},
                                          {FlagGroup::mode, "Mode"}});
}

template <typename Access>
struct FlagField {
  std::string_view key;
  Access access;
  FlagGroup group;
  std::string_view help;
  Since since = Since::first;
};
template <typename Access, typename... More>
FlagField(std::string_view, Access, FlagGroup, std::string_view, More...) -> FlagField<Access>;

// "tensor-parallel" of "tensor_parallel"
inline std::string flag_of(std::string_view key) {
  std::string flag(key);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

}  // namespace shardrift
