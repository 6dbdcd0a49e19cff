#include "analysis/inspect/inspect_presenters.hpp"
#include "analysis/inspect/labelled_line.hpp"
#include "common/text_columns.hpp"

namespace shardrift::analysis {
namespace {

constexpr std::size_t kListed = 40;  // of many prompts' faults

std::string listed(const char* heading, const std::vector<record::Finding>& findings) {
  if (findings.empty()) return "";
  std::string text = fmt::format("\n{}\n", heading);
  for (std::size_t i = 0; i < std::min(kListed, findings.size()); ++i)
    text += fmt::format("  {}: {}\n", legible(findings[i].object), legible(findings[i].what));
  if (findings.size() > kListed) text += fmt::format("  … and {} more\n", findings.size() - kListed);
  return text;
}

}  // namespace

std::string validation_text(const record::Validation& validation) {
  const auto rows =
      validation.rows_with_logits == validation.rows
          ? fmt::format("{} rows of logits", validation.rows)
          : fmt::format("{} rows, {} with all logits", validation.rows, validation.rows_with_logits);
  return line("file", validation.path.string()) +
         line("holds",
              fmt::format("{} prompt{}, {}", validation.prompts, validation.prompts == 1 ? "" : "s", rows)) +
         listed("wrong: as long as this is so, it cannot be analysed", validation.wrong) +
         listed("lacks: it can be analysed, but", validation.lacks) +
         (validation.usable() ? validation.lacks.empty() ? "\nit can be analysed, and lacks nothing\n"
                                                         : "\nit can be analysed\n"
                              : "\nit cannot be analysed as it is\n");
}

}  // namespace shardrift::analysis
