#include "analysis/measure/repeat.hpp"

#include <fmt/core.h>

#include <filesystem>
#include <system_error>

#include "analysis/measure/differences.hpp"

namespace shardrift::analysis {
namespace {

bool both_say_otherwise(const std::string& one, const std::string& again) {
  return !one.empty() && !again.empty() && one != again;
}

}  // namespace

std::string why_no_repeat(const RunSummary& one, const RunSummary& again) {
  std::error_code ignored;
  if (std::filesystem::equivalent(again.path, one.path, ignored)) return "it is the same file";
  if (again.run.mode != one.run.mode) return fmt::format("mode {} against {}", again.run.mode, one.run.mode);
  if (again.run.plan != one.run.plan) return fmt::format("{} against {}", again.plan, one.plan);
  if (both_say_otherwise(one.run.model.dtype, again.run.model.dtype))
    return fmt::format("computed in {} against {}", again.run.model.dtype, one.run.model.dtype);
  if (both_say_otherwise(one.run.model.identity, again.run.model.identity))
    return fmt::format("model {} against {}", again.run.model.identity.substr(0, 12),
                       one.run.model.identity.substr(0, 12));
  if (other_weights(one.run, again.run)) return "it is of other weights";
  // Two runs may begin in the same second, but not take the same time to the last digit.
  if (one.pace.passes > 0 && again.run.created == one.run.created && again.pace.seconds == one.pace.seconds &&
      again.pace.slowest == one.pace.slowest)
    return "it is a copy, of the same second and with the same times";
  return {};
}

}  // namespace shardrift::analysis
