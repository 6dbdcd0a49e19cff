#include <fmt/format.h>

#include <cmath>

#include "analysis/graft/graft_presenters.hpp"
#include "common/text_columns.hpp"

namespace shardrift::analysis {
namespace {

std::string number(double value) {
  return std::isnan(value) ? "-" : fmt::format("{:.3g}", value);
}

std::string percent(double share) {
  return std::isnan(share) ? "-" : fmt::format("{:.1f}%", 100 * share);
}

std::string place(const GraftTable& table, const GraftTable::Layer& one) {
  return one.layer < 0 ? table.operation : fmt::format("layer {}", one.layer);
}

}  // namespace

std::string graft_text(const GraftTable& table) {
  std::string text =
      fmt::format("reference  {}\ncandidate  {}\n{} prompts, {} rows, fed the same tokens ({})\n\n",
                  table.reference, table.candidate, table.prompts, table.plain.rows, table.mode);
  TextColumns columns({{"put in", Align::left},
                       {"flips", Align::right},
                       {"taken away", Align::right},
                       {"KL mean", Align::right},
                       {"taken away", Align::right},
                       {"RMS", Align::right},
                       {"rows differ", Align::right},
                       {"rows it moved", Align::right}});
  const auto add = [&](const std::string& what, const GraftDistance& one, bool put) {
    columns.add({what, std::to_string(one.flips), put ? std::to_string(table.plain.flips - one.flips) : "",
                 number(one.kl_mean), put ? percent(table.taken(one)) : "", number(one.rms),
                 std::to_string(one.rows_differ), put ? std::to_string(one.rows_moved) : ""});
  };
  add("nothing", table.plain, false);
  for (const auto& one : table.layers) add(place(table, one), one.left, true);
  text += columns.str();
  if (table.plain.rows_differ == 0) {
    text += "\nthe candidate has the reference's bits: there is nothing to take away\n";
  } else if (const auto* best = table.best()) {
    text += fmt::format("\nthe reference's {} at {} takes away most: {} of the KL, {} of {} flips\n",
                        table.operation, best->layer < 0 ? "its place" : place(table, *best),
                        percent(table.taken(best->left)), table.plain.flips - best->left.flips,
                        table.plain.flips);
  }
  return legible(text, Newlines::kept);
}

}  // namespace shardrift::analysis
