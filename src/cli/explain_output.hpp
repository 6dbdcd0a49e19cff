// What shardrift explain prints of its results, and the files it writes of them.
#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "analysis/explain/ladder.hpp"
#include "analysis/report/report.hpp"
#include "common/error.hpp"
#include "common/output_file.hpp"
#include "record/reader.hpp"

namespace shardrift::cli {

// Paths; empty: not wanted.
struct ExplainFiles {
  std::string json;
  std::string csv;
  std::string html;
};

class ExplainOutput {
 public:
  // command: as it was typed; the page says it. Throws usage_error where a file would replace one of those
  // read, failure where it cannot be written.
  ExplainOutput(const ExplainFiles& files, std::string command, const std::vector<std::string>& read);

  void show_pair(const std::string& reference, const std::string& candidate);
  // beyond_tolerance where a real run has a residue.
  ExitCode show_ladder(const std::vector<analysis::RungFile>& rungs);
  // Of the last rung's configuration: ladders shown after this are held against what repeats move.
  void repeats(std::vector<std::filesystem::path> files) { repeats_ = std::move(files); }

 private:
  report::Report page_of(const record::Reader& reference, const record::Reader& candidate,
                         analysis::Measurement measurement) const;

  OutputFile json_;
  OutputFile csv_;
  OutputFile html_;
  std::string command_;
  std::vector<std::filesystem::path> repeats_;
};

}  // namespace shardrift::cli
