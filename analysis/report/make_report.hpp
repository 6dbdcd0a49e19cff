// From what was measured and judged to a page.
#pragma once
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "analysis/report/report.hpp"
#include "record/reader.hpp"

namespace shardrift::report {

// What a page shows of a run that only its record says.
struct Excerpt {
  std::string path;                          // of the record
  std::vector<analysis::TokenTable> tokens;  // of prompts that flip
  std::vector<CurvePoint> layers;            // growth through them; empty without hidden states in both
};
Excerpt excerpt_of(const record::Reader& reference, const record::Reader& candidate,
                   const analysis::Measurement& measurement);

// `evidence` has at least one candidate. A run without an excerpt has no tokens and no growth on the page.
Report make_report(verdict::Evidence evidence, verdict::Verdict verdict, std::vector<Excerpt> excerpts);
// … of candidates alone, judged by the limits of the serving preset.
Report make_report(std::vector<analysis::Measurement> candidates, std::vector<Excerpt> excerpts);

// Whole or not at all: a page that is cut off would look finished. Returns its size in bytes.
void write_page(const Report& report, const std::filesystem::path& output);

}  // namespace shardrift::report
