#include "analysis/compare/comparison_presenters.hpp"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

#include "analysis/measure/metrics_columns.hpp"
#include "analysis/measure/totals.hpp"
#include "common/csv.hpp"

namespace shardrift::analysis {
namespace {

template <typename Field>
void append_cell(std::string& line, Field value) {
  auto out = std::back_inserter(line);
  if constexpr (std::is_same_v<Field, record::Phase>)
    fmt::format_to(out, ",{}", value == record::Phase::prefill ? "prefill" : "decode");
  else if constexpr (std::is_same_v<Field, double>)
    std::isfinite(value) ? fmt::format_to(out, ",{}", value)
                         : fmt::format_to(out, ",");  // shortest exact form
  else
    fmt::format_to(out, ",{}", static_cast<std::int64_t>(value));
}

}  // namespace

void write_csv_head(std::ostream& out) {
  std::string line = "candidate,prompt";
  each_step_column([&](const char* name, auto, const char*) { line += std::string(",") + name; });
  out << line << "\n";
}

void write_csv_rows(std::ostream& out, const Measurement& measurement) {
  const std::string candidate = csv_cell(measurement.candidate.path);
  const bool no_bits = in_other_dtypes(measurement);
  for (const auto& prompt : measurement.prompts)
    for (const auto& step : prompt.steps) {
      std::string line = candidate + "," + csv_cell(prompt.id);
      each_step_column([&](const char* name, auto field, const char*) {
        if (no_bits && std::string_view(name) == "bit_equal")
          line += ',';
        else
          append_cell(line, step.*field);
      });
      out << line << "\n";
    }
}

}  // namespace shardrift::analysis
