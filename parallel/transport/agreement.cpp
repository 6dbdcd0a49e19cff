#include "parallel/transport/agreement.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/hash.hpp"

namespace shardrift {
namespace {

using nlohmann::json;

constexpr std::size_t kLongest = 80;  // characters of a value that are shown

std::string shown(const Stated& stated) {
  if (!stated.shown.empty()) return stated.shown;
  if (stated.value.empty()) return "(none)";
  if (stated.value.size() <= kLongest) return stated.value;
  return "SHA-256 " + sha256_hex(stated.value).substr(0, 16);
}

// "rank 1 on b" or "ranks 0, 2 on a, b"
std::string who(const std::vector<std::size_t>& ranks, const std::vector<std::string>& hosts) {
  std::vector<std::string> on;
  for (const auto rank : ranks)
    if (std::find(on.begin(), on.end(), hosts[rank]) == on.end()) on.push_back(hosts[rank]);
  return fmt::format("{} {} on {}", ranks.size() == 1 ? "rank" : "ranks", fmt::join(ranks, ", "),
                     fmt::join(on, ", "));
}

const Stated* find(const std::vector<Stated>& stated, const std::string& what) {
  const auto found =
      std::find_if(stated.begin(), stated.end(), [&](const Stated& one) { return one.what == what; });
  return found == stated.end() ? nullptr : &*found;
}

// Ranks with one value, in the order of their lowest; a rank that does not know `what` has none.
struct Camp {
  std::string value;
  std::string shown;
  std::vector<std::size_t> ranks;
};
std::vector<Camp> camps_of(const std::vector<std::vector<Stated>>& stated, const std::string& what) {
  std::vector<Camp> camps;
  for (std::size_t rank = 0; rank < stated.size(); ++rank) {
    const Stated* mine = find(stated[rank], what);
    const Camp fresh{
        mine != nullptr ? "=" + mine->value : "", mine != nullptr ? shown(*mine) : std::string("(none)"), {}};
    auto camp =
        std::find_if(camps.begin(), camps.end(), [&](const Camp& one) { return one.value == fresh.value; });
    if (camp == camps.end()) camp = camps.insert(camps.end(), fresh);
    camp->ranks.push_back(rank);
  }
  return camps;
}

}  // namespace

std::string disagreement(const std::vector<std::vector<Stated>>& stated,
                         const std::vector<std::string>& hosts) {
  std::vector<std::string> names;
  for (const auto& of_rank : stated)
    for (const auto& one : of_rank)
      if (std::find(names.begin(), names.end(), one.what) == names.end()) names.push_back(one.what);
  std::vector<std::string> differences;
  for (const auto& what : names) {
    const auto camps = camps_of(stated, what);
    if (camps.size() < 2) continue;
    std::vector<std::string> parts;
    for (const auto& camp : camps)
      parts.push_back(fmt::format("{} on {}", camp.shown, who(camp.ranks, hosts)));
    differences.push_back(fmt::format("{} is {}", what, fmt::join(parts, ", but ")));
  }
  return fmt::format("{}", fmt::join(differences, "; "));
}

void require_agreement(const World& world, const std::vector<Stated>& stated, const std::string& advice) {
  json mine = json::array();
  for (const auto& one : stated) mine.push_back({one.what, one.value, one.shown});
  std::vector<std::vector<Stated>> all;
  std::vector<std::string> hosts;
  const json message = {world.host(), mine};
  for (const auto& text : world.gather_all(message.dump(-1, ' ', false, json::error_handler_t::replace))) {
    const auto other = json::parse(text);
    hosts.push_back(other[0]);
    auto& of_rank = all.emplace_back();
    for (const auto& one : other[1]) of_rank.push_back({one[0], one[1], one[2]});
  }
  const auto differences = disagreement(all, hosts);
  if (differences.empty()) return;
  throw AgreedError(ExitCode::usage, fmt::format("the ranks do not agree: {}{}{}", differences,
                                                 advice.empty() ? "" : ": ", advice));
}

}  // namespace shardrift
