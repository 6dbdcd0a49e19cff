// shardrift diagnose: the runs on one device that two records are held against, made by the worker.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "analysis/diagnose/diagnosis_runs.hpp"
#include "cli/arguments.hpp"
#include "cli/worker_runs.hpp"
#include "record/reader.hpp"

namespace shardrift::cli {

struct DiagnoseRunFlags {
  std::filesystem::path model;
  std::filesystem::path profile;  // --collective-profile
  WorkerFlags worker;             // output empty: out/diagnose/NAME of the candidate
};

void add_diagnose_run_options(Arguments& known, DiagnoseRunFlags& flags);

struct MadeFile {
  analysis::DiagnosisRun run;
  std::filesystem::path path;
};
struct MadeRuns {
  std::vector<MadeFile> files;     // in diagnosis_runs's order
  std::vector<std::string> notes;  // what a user should know of them
  bool interrupted = false;        // by a signal: the same command goes on
};

// Runs what is missing. Throws failure where a run failed.
MadeRuns make_diagnosis_runs(const record::Reader& reference, const record::Reader& candidate,
                             const DiagnoseRunFlags& flags);

}  // namespace shardrift::cli
