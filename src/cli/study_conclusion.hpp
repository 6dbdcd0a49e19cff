// What a study ends with: every finished record measured against its reference, the verdict, the report.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "common/progress_line.hpp"
#include "experiments/runner/status.hpp"
#include "experiments/study/plan_study.hpp"
#include "experiments/study/study.hpp"

namespace shardrift::cli {

// Prints tables and verdicts and writes compare-NAME.json, verdict-NAME.json and report-NAME.html into the
// output folder, NAME being the run that others were compared with. A candidate that has no complete record
// is in verdict and report as not judged, with the reason, also where `only` (names; empty: all) left it out.
// False: something that was chosen could not be compared.
bool conclude_study(const study::Study& study, const study::StudyPlan& plan,
                    const runner::StudyStatus& status, const std::vector<std::string>& only,
                    const std::filesystem::path& output, ProgressLine& line);

}  // namespace shardrift::cli
