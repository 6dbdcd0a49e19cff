// shardrift explain --run --graft: the reference's tensors put into the prediction of the real run.
#pragma once
#include "cli/explain_subject.hpp"
#include "common/error.hpp"
#include "common/output_file.hpp"

namespace shardrift::cli {

// Runs shardrift-run graft and shows its table. Exit codes as explain's. json, csv: where they are wanted.
ExitCode explain_graft(const ExplainRunFlags& flags, OutputFile& json, OutputFile& csv);

}  // namespace shardrift::cli
