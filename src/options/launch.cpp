#include "options/launch.hpp"

#include "common/error.hpp"
#include "parallel/profile/messages.hpp"
#include "parallel/profile/profile.hpp"

namespace shardrift {
namespace {

// Why passes of such a run cannot be captured; empty: they can.
std::string hindrance(const RunOptions& options, const std::string& of_model) {
  if (const auto traced = traced_by(options); !traced.empty())
    return fmt::format("a captured pass cannot be looked into, as {} does", traced);
  if (!of_model.empty()) return of_model;
  const Plan& plan = options.plan;
  if (plan.reduction.needs_profile() && !options.collective_profile.empty() &&
      !read_profile(options.collective_profile).knows_captured(operation_of(plan), plan.dtype))
    return fmt::format("{} knows no captured sums (shardrift-run probe --launch captured adds them)",
                       options.collective_profile.string());
  return {};
}

}  // namespace

std::string resolve_launch(RunOptions& options, const std::string& of_model) {
  Launch& launch = options.plan.launch;
  if (launch != Launch::automatic) return {};
  launch = Launch::eager;
  if (options.plan.device == Device::cpu || options.mode == Mode::score) return {};  // nothing to be captured
  const auto why = hindrance(options, of_model);
  if (!why.empty()) return "launch eager, because " + why;
  launch = Launch::captured;
  return {};
}

}  // namespace shardrift
