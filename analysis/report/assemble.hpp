// From files to a Report: opens the records, measures, makes the statistics, reads the tokens.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "analysis/report/report.hpp"

namespace shardrift::report {

struct Files {
  std::string reference;
  std::vector<std::string> candidates;   // at least one
  std::vector<std::string> noise_floor;  // the reference's plan once more
  std::vector<std::string> yardsticks;   // other dtypes or quantizations
  std::string truth;                     // higher precision; may be empty
};

// Throws bad_data where a file cannot be used or does not belong to the reference.
Report assemble(const Files& files);

}  // namespace shardrift::report
