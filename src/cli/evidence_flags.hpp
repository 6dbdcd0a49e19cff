// What `shardrift gate` and `shardrift report` are given to judge by: the records, and the limits.
#pragma once
#include <string>
#include <vector>

#include "analysis/report/make_report.hpp"
#include "analysis/verdict/thresholds.hpp"
#include "analysis/verdict/verdict.hpp"
#include "cli/arguments.hpp"

namespace shardrift::cli {

struct EvidenceFlags {
  std::vector<std::string> files;  // the reference and its candidates
  std::vector<std::string> noise_floors;
  std::vector<std::string> yardsticks;
  std::string truth;
  std::string preset;
  std::string thresholds;
};

void add_evidence_options(Arguments& known, EvidenceFlags& flags);
// Every file that is read: none of them is to be written over.
std::vector<std::string> read_by(const EvidenceFlags& flags);
// Throws usage_error where both --preset and --thresholds are there.
verdict::Thresholds thresholds_of(const std::string& command, const EvidenceFlags& flags);

struct Gathered {
  verdict::Evidence evidence;
  std::vector<report::Excerpt> excerpts;  // for a page, where one is wanted
};
// Opens and measures the records. keep: metrics beside the candidates are used, and written.
Gathered gather(const EvidenceFlags& flags, bool keep, bool page);

}  // namespace shardrift::cli
