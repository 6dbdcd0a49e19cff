// What --launch auto, which is what a run is given that says nothing, is for a run: eager or captured.
#pragma once
#include <string>

#include "options/run_options.hpp"

namespace shardrift {

// Where options.plan.launch is automatic, makes it captured on a GPU, if the run decodes at all and can be;
// else eager. of_model: why passes of this model cannot be captured; empty: they can. Returns why the launch
// is eager where that says something ("launch eager, because …"), else an empty text. Reads the collective
// profile, if there is one: throws as read_profile does.
std::string resolve_launch(RunOptions& options, const std::string& of_model);

}  // namespace shardrift
