// The lines that inspect prints: a label and a value.
#pragma once
#include <fmt/format.h>

#include <string>

namespace shardrift::analysis {

inline std::string line(const std::string& label, const std::string& value) {
  return fmt::format("{:<14} {}\n", label, value);
}

}  // namespace shardrift::analysis
