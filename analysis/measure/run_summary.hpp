// What results say about a run without opening its record again.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "analysis/measure/pace.hpp"
#include "record/reader.hpp"

namespace shardrift::analysis {

struct RunSummary {
  std::string path;      // as given on the command line
  std::string name;      // for tables and legends: the file's stem, or the study's name for it
  std::string plan;      // described, for people
  int shards = 0;        // 0 where the plan does not say
  bool complete = true;  // status
  // Stands for a plan of more devices, as a study says. (A profile in the plan says so by itself.)
  bool predicted = false;
  // Its rows are no logits but probabilities (record/row_kind.hpp): set by measure alone, which reads rows.
  bool probabilities = false;
  std::int64_t prompts = 0;
  record::RunInfo run;  // vocab left out
  // Of the process that finished the run; 0 where the file does not say (a partial file).
  double prefill_seconds = 0;
  double decode_seconds = 0;
  std::int64_t prefill_tokens = 0;
  std::int64_t decode_tokens = 0;
  Pace pace;  // of all its passes, whichever process made them
};

// "tp2" of "out/tp2.h5" and "out/tp2.h5.parts"; as a terminal may show it.
std::string name_of_run(const std::filesystem::path& path);

RunSummary summary_of(const record::Reader& run);

}  // namespace shardrift::analysis
