// What a study ends with: every finished record measured against its reference, the verdict, the report.
#pragma once
#include <filesystem>
#include <string>

#include "common/progress_line.hpp"
#include "experiments/runner/status.hpp"
#include "experiments/study/plan_study.hpp"
#include "experiments/study/study.hpp"

namespace shardrift::cli {

// Prints tables and verdicts and writes compare-NAME.json and verdict-NAME.json into the output folder, NAME
// being the run that others were compared with. Records that are not complete are left out and said so.
void conclude_study(const study::Study& study, const study::StudyPlan& plan,
                    const runner::StudyStatus& status, const std::filesystem::path& output,
                    ProgressLine& line);

}  // namespace shardrift::cli
