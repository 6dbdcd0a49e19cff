#include <fmt/format.h>

#include <cmath>

#include "analysis/graft/graft_presenters.hpp"
#include "common/counted.hpp"
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

// A graft may add flips, as other rounding does.
std::string flips_taken(std::int64_t before, std::int64_t left) {
  if (left > before)
    return fmt::format("but {} where there {} {}", counted(left, "flip"), before == 1 ? "was" : "were",
                       before == 0 ? "none" : std::to_string(before));
  return before == 0 ? "no token flips" : fmt::format("{} of {}", before - left, counted(before, "flip"));
}

}  // namespace

std::string graft_text(const GraftTable& table) {
  std::string text = fmt::format("reference  {}\ncandidate  {}\n{}, {}, fed the same tokens ({})\n\n",
                                 table.reference, table.candidate, counted(table.prompts, "prompt"),
                                 counted(table.plain.rows, "row"), table.mode);
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
    const auto where = best->layer < 0 ? "its place" : place(table, *best);
    const double taken = table.taken(best->left);
    const auto flips = flips_taken(table.plain.flips, best->left.flips);
    text += taken > 0 ? fmt::format("\nthe reference's {} at {} takes away most: {} of the KL, {}\n",
                                    table.operation, where, percent(taken), flips)
                      : fmt::format(
                            "\nthe reference's {} takes away none of the KL, wherever it is put in; least is "
                            "added at {}: {} of it, {}\n",
                            table.operation, where, percent(-taken), flips);
  }
  return legible(text, Newlines::kept);
}

}  // namespace shardrift::analysis
