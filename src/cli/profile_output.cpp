#include "cli/profile_output.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "analysis/near_ties/near_ties_presenters.hpp"
#include "common/counted.hpp"
#include "common/dtype.hpp"
#include "common/text_columns.hpp"

namespace shardrift::cli {
namespace {

std::string message_text(const MessageDiff& message) {
  return fmt::format("{}{} of {} {} elements ({} bytes)", message.captured ? "captured " : "",
                     name_of(message.operation), message.count, name_of(message.dtype),
                     message.count * static_cast<std::int64_t>(size_of(message.dtype)));
}

// Letters are given to orders as they are met: the same order has the same letter in every message.
class Letters {
 public:
  char of(const std::string& order) {
    const auto known = letters_.find(order);
    if (known != letters_.end()) return known->second;
    constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const char letter = letters_.size() < kLetters.size() ? kLetters[letters_.size()] : '?';
    orders_.push_back(order);
    return letters_.emplace(order, letter).first->second;
  }
  std::string legend() const {
    std::string text;
    for (const auto& order : orders_) text += fmt::format("  {}  {}\n", letters_.at(order), order);
    return text;
  }

 private:
  std::map<std::string, char> letters_;
  std::vector<std::string> orders_;
};

constexpr std::int64_t kBar = 48;  // characters

// Each character stands for count / kBar elements: their order's letter, '+' where they have several.
std::string bar(const ProbeResult& probe, Letters& letters) {
  std::vector<char> of_tree;
  for (const auto& tree : probe.trees) of_tree.push_back(letters.of(to_string(tree)));
  std::string text;
  const std::int64_t width = std::min(kBar, probe.count);
  auto segment = probe.segments.begin();
  for (std::int64_t i = 0; i < width; ++i) {
    while (segment->end <= i * probe.count / width) ++segment;
    const bool several = segment->end < (i + 1) * probe.count / width;
    text += several                       ? '+'
            : segment->tree == kNotBinary ? '!'
                                          : of_tree[static_cast<std::size_t>(segment->tree)];
  }
  return text;
}

nlohmann::ordered_json message_json(const MessageDiff& message) {
  nlohmann::ordered_json json{{"operation", name_of(message.operation)},
                              {"dtype", name_of(message.dtype)},
                              {"count", message.count},
                              {"captured", message.captured},
                              {"differs", message.differs()}};
  if (!message.unknown_to_a.empty()) json["unknown_to_a"] = message.unknown_to_a;
  if (!message.unknown_to_b.empty()) json["unknown_to_b"] = message.unknown_to_b;
  if (!message.known()) return json;
  json["elements"] = message.elements();
  if (message.differs()) json["seldom"] = message.seldom();
  if (!message.rounds_a.empty()) json["rounds"] = {{"a", message.rounds_a}, {"b", message.rounds_b}};
  if (!message.seen_a.empty()) json["seen_in_a"] = message.seen_a;
  if (!message.seen_b.empty()) json["seen_in_b"] = message.seen_b;
  auto others = nlohmann::ordered_json::array();
  for (const auto& one : message.others)
    others.push_back({{"begin", one.begin}, {"end", one.end}, {"a", one.a}, {"b", one.b}});
  json["others"] = std::move(others);
  return json;
}

// Pairs of orders, those of most elements first.
std::vector<OtherOrder> by_elements(const std::vector<OtherOrder>& others) {
  std::map<std::pair<std::string, std::string>, OtherOrder> pairs;  // end - begin: all elements of the pair
  for (const auto& one : others) {
    auto& pair =
        pairs.try_emplace({one.a, one.b}, OtherOrder{one.begin, one.begin, one.a, one.b}).first->second;
    pair.end += one.end - one.begin;
  }
  std::vector<OtherOrder> sorted;
  for (auto& [names, one] : pairs) sorted.push_back(std::move(one));
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& x, const auto& y) {
    return std::pair(y.end - y.begin, x.begin) < std::pair(x.end - x.begin, y.begin);
  });
  return sorted;
}

}  // namespace

std::string profile_text(const CollectiveProfile& profile) {
  std::string text = fmt::format("{} {} ({}), {} ranks, {}\nprobed {} on {}\nmodel: {}\n", profile.library,
                                 profile.library_version, profile.transport, profile.ranks, profile.device,
                                 profile.date, profile.machine, describe(profile.model));
  for (const auto& [name, value] : profile.variables) text += fmt::format("{}={}\n", name, value);
  TextColumns table({{"", Align::left},
                     {"dtype", Align::left},
                     {"elements", Align::right},
                     {"bytes", Align::right},
                     {"runs", Align::right},
                     {"orders, first element to last", Align::left},
                     {"rounds", Align::left},
                     {"library says", Align::left}});
  Letters letters;
  bool not_binary = false;
  for (const auto& one : profile.probed) {
    not_binary = not_binary || one.probe.first_not_binary() >= 0;
    table.add({std::string(one.captured ? "captured " : "") + std::string(name_of(one.operation)),
               std::string(name_of(one.probe.dtype)), std::to_string(one.probe.count),
               std::to_string(one.probe.count * static_cast<std::int64_t>(size_of(one.probe.dtype))),
               std::to_string(one.probe.segments.size()), bar(one.probe, letters),
               one.probe.accumulator ? std::string(name_of(*one.probe.accumulator)) : "not seen",
               one.told ? fmt::format("{}, {}, {} channels", one.told->algorithm, one.told->protocol,
                                      one.told->channels)
                        : ""});
  }
  text +=
      "\n" + table.str() + "\n" + letters.legend() + "  +  several of them, in runs too short to be drawn\n";
  if (not_binary) text += "  !  no binary tree\n";
  for (const auto& one : profile.probed)
    if (!one.seen.empty())
      text += fmt::format("{} of {} {} elements: {}\n", name_of(one.operation), one.probe.count,
                          name_of(one.probe.dtype), one.seen);
  return legible(text, Newlines::kept);
}

std::string profile_diff_answer(const ProfileDiff& diff) {
  const auto count = [&](auto which) {
    return std::count_if(diff.messages.begin(), diff.messages.end(), which);
  };
  const auto seldom = count([](const MessageDiff& one) { return one.seldom(); });
  const auto differing = count([](const MessageDiff& one) { return one.differs(); }) - seldom;
  const auto known = count([](const MessageDiff& one) { return one.known(); });
  const auto unknown = static_cast<std::ptrdiff_t>(diff.messages.size()) - known;
  std::string text =
      differing > 0 ? fmt::format("{} of {} that both know {} sums of other bits: runs that send {} differ",
                                  differing, counted(known, "message"), differing == 1 ? "has" : "have",
                                  differing == 1 ? "it" : "them")
      : seldom > 0
          ? fmt::format(
                "{} of {} that both know {} added in another order, but in a wider dtype and rounded once: "
                "few of their sums, if any, have other bits",
                seldom, counted(known, "message"), seldom == 1 ? "is" : "are")
      : known > 0 ? fmt::format("the same orders in all messages that both know ({})", known)
                  : std::string("no message is known to both: nothing can be said");
  if (differing > 0 && seldom > 0)
    text += fmt::format(
        "; {} more in another order, but in a wider dtype and rounded once, which seldom shows", seldom);
  if (unknown > 0) text += fmt::format("; {} known to one alone", counted(unknown, "message"));
  return text + "\n";
}

std::string profile_diff_text(const ProfileDiff& diff, const std::string& a, const std::string& b,
                              std::size_t rows) {
  std::string text = fmt::format("\nA  {}\nB  {}\n", a, b);
  for (const auto& field : diff.fields)
    text += fmt::format("\n{}:\n  A  {}\n  B  {}\n", field.name, field.a, field.b);
  text += "\n";
  std::size_t shown = 0;
  std::size_t left_out = 0;
  for (const auto& message : diff.messages) {
    if (!message.known() || !message.differs()) continue;
    if (shown == rows) {
      ++left_out;
      continue;
    }
    ++shown;
    const std::string name = message_text(message);
    if (message.elements() > 0)
      text +=
          fmt::format("{}: {} {} added in another order ({:.1f}%)\n", name, message.elements(),
                      message.elements() == 1 ? "is" : "are",
                      100.0 * static_cast<double>(message.elements()) / static_cast<double>(message.count));
    if (!message.rounds_a.empty())
      text += fmt::format("{}: A rounds at {}, B at {}\n", name, message.rounds_a, message.rounds_b);
    for (const auto& [side, seen] : {std::pair("A", &message.seen_a), std::pair("B", &message.seen_b)})
      if (!seen->empty()) text += fmt::format("{}: in {} {}\n", name, side, *seen);
    const auto pairs = by_elements(message.others);
    for (std::size_t i = 0; i < std::min(rows, pairs.size()); ++i)
      text += fmt::format("  {} from element {} on: {} in A, {} in B\n", pairs[i].end - pairs[i].begin,
                          pairs[i].begin, pairs[i].a, pairs[i].b);
    if (pairs.size() > rows)
      text += fmt::format("  and {} more (--rows, --json)\n",
                          counted(pairs.size() - rows, "pair of orders", "pairs of orders"));
  }
  if (left_out > 0)
    text += fmt::format("and {} (--rows, --json)\n",
                        counted(left_out, "more message that differs", "more messages that differ"));
  // Why, of the first of each side; --json has all.
  for (const auto& [side, why] :
       {std::pair("A", &MessageDiff::unknown_to_a), std::pair("B", &MessageDiff::unknown_to_b)}) {
    const auto silent = [&](const MessageDiff& one) { return !(one.*why).empty(); };
    const auto first = std::find_if(diff.messages.begin(), diff.messages.end(), silent);
    if (first != diff.messages.end())
      text += fmt::format("not known to {}: {}, the first the {}: {}\n", side,
                          counted(std::count_if(first, diff.messages.end(), silent), "message"),
                          message_text(*first), (*first).*why);
  }
  return legible(text, Newlines::kept);
}

std::string profile_diff_json(const ProfileDiff& diff, const std::string& a, const std::string& b,
                              const analysis::NearTies* ties, const analysis::OrderRun* run) {
  nlohmann::ordered_json json{
      {"format", "shardrift profile diff 1"}, {"a", a}, {"b", b}, {"differs", diff.differs()}};
  auto& fields = json["fields"] = nlohmann::ordered_json::object();
  for (const auto& field : diff.fields) fields[field.name] = {{"a", field.a}, {"b", field.b}};
  auto& messages = json["messages"] = nlohmann::ordered_json::array();
  for (const auto& message : diff.messages) messages.push_back(message_json(message));
  if (ties != nullptr) json["record"] = analysis::near_ties_json(*ties);
  if (run != nullptr) json["run"] = analysis::order_run_json(*run);
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace shardrift::cli
