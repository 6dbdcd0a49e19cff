// The lines that inspect prints: a label and a value, which may be what a file says.
#pragma once
#include <fmt/format.h>

#include <string>

#include "common/text_columns.hpp"

namespace shardrift::analysis {

inline std::string line(const std::string& label, const std::string& value) {
  return fmt::format("{:<14} {}\n", label, legible(value));
}

}  // namespace shardrift::analysis
