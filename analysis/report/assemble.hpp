// From records to a page: measures (or takes the kept metrics), judges, reads the tokens, writes one file.
#pragma once
#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "analysis/report/report.hpp"
#include "analysis/verdict/thresholds.hpp"

namespace shardrift::report {

struct File {
  std::string path;  // OUT.h5 or OUT.h5.parts
  std::string name;  // in tables and legends; empty: the file's stem
};

struct Files {
  File reference;
  std::vector<File> candidates;      // at least one
  std::vector<File> noise_floor;     // the reference's plan once more
  std::vector<File> yardsticks;      // other dtypes or quantizations
  std::string truth;                 // higher precision; may be empty
  std::vector<std::string> ladders;  // JSON of shardrift explain, of candidates
};

struct Request {
  Files files;
  verdict::Thresholds thresholds = verdict::preset("serving");
  std::string title;                            // empty: made from the names
  std::string command;                          // that was typed, for the page's last line
  std::function<void(const std::string&)> say;  // notes for the user, may be empty
};

// Throws bad_data where a file cannot be used or does not belong to the reference.
Report assemble(const Request& request);

// The same from what was measured and judged already. Opens the records again, by the paths in the
// measurements, for the tokens of prompts that flip. `evidence` has at least one candidate.
Report report_of(verdict::Evidence evidence, verdict::Verdict verdict);
// … of candidates alone, judged by the limits of the serving preset.
Report report_of(std::vector<analysis::Measurement> candidates);

// Whole or not at all: a page that is cut off would look finished. Returns its size in bytes.
std::size_t write_page(const Report& report, const std::filesystem::path& output);

}  // namespace shardrift::report
