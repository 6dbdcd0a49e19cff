// What one file holds: as text, as JSON (docs/inspect.schema.json) and, of its prompts, as CSV.
#pragma once
#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "analysis/measure/metrics_file.hpp"
#include "record/reader.hpp"
#include "record/validate.hpp"

namespace shardrift::analysis {

// Names of the metrics files beside a record that were measured of it.
std::vector<std::string> kept_comparisons(const std::filesystem::path& record);

// A record: the run, plan, environment, prompts.
std::string inspect_text(const record::Reader& reader);
std::string inspect_json(const record::Reader& reader);
void write_inspect_csv(std::ostream& out, const record::Reader& reader);

// What a foreign record lacks, in words, item by item.
std::string validation_text(const record::Validation& validation);

// A metrics file.
std::string inspect_text(const std::filesystem::path& path, const KeptMetrics& kept);
std::string inspect_json(const std::filesystem::path& path, const KeptMetrics& kept);

}  // namespace shardrift::analysis
