// Order maps: which tree adds which part of a message, by message size.
#include <algorithm>
#include <map>

#include "analysis/report/payload.hpp"
#include "analysis/report/sampling.hpp"
#include "common/dtype.hpp"
#include "common/error.hpp"

namespace shardrift::report {
namespace {

using record::CollectiveInfo;

constexpr std::size_t kMessages = 40;  // of one run
constexpr std::int64_t kMixed = -1;    // a band of several trees, too fine to draw

class Trees {
 public:
  std::size_t of(const std::string& tree) {
    const auto [at, fresh] = places_.try_emplace(tree, places_.size());
    if (fresh) names_.push_back(tree);
    return at->second;
  }
  const std::vector<std::string>& names() const { return names_; }

 private:
  std::map<std::string, std::size_t> places_;
  std::vector<std::string> names_;
};

struct Band {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t tree = 0;
};

void append(std::vector<Band>& bands, const Band& band) {
  if (!bands.empty() && bands.back().tree == band.tree && bands.back().end == band.begin)
    bands.back().end = band.end;
  else
    bands.push_back(band);
}

// Segments as they are; where there are too many, parts of equal size, each with its only tree or kMixed.
std::vector<Band> bands_of(const CollectiveInfo& one) {
  std::vector<Band> bands;
  for (const auto& segment : one.segments) append(bands, {segment.begin, segment.end, segment.tree});
  if (bands.size() <= kBands) return bands;
  std::vector<Band> coarse;
  std::size_t at = 0;
  const auto parts = static_cast<std::int64_t>(kBands);
  for (std::int64_t part = 0; part < parts; ++part) {
    // count / parts >= 1 here: there are more segments than parts. Divided first: count may be huge.
    const std::int64_t begin = one.count / parts * part + one.count % parts * part / parts;
    const std::int64_t end = one.count / parts * (part + 1) + one.count % parts * (part + 1) / parts;
    while (bands[at].end <= begin) ++at;
    const bool single = bands[at].end >= end;
    append(coarse, {begin, end, single ? bands[at].tree : kMixed});
  }
  return coarse;
}

std::size_t bytes_of(const CollectiveInfo& one) {
  try {
    return size_of(named<DType>("dtype", one.dtype));
  } catch (const Error&) {
    return 0;  // a dtype of a newer version: sizes are then given in elements only
  }
}

Json message_json(const CollectiveInfo& one, Trees& trees) {
  Json bands = Json::array();
  for (const auto& band : bands_of(one)) {
    const std::int64_t tree =
        band.tree == kMixed
            ? kMixed
            : static_cast<std::int64_t>(trees.of(one.trees[static_cast<std::size_t>(band.tree)]));
    bands.push_back({band.begin, band.end, tree});
  }
  return {{"operation", one.operation},
          {"count", one.count},
          {"dtype", one.dtype},
          {"bytes", bytes_of(one)},
          {"ranks", one.ranks},
          {"library", one.library},
          {"version", one.version},
          {"algorithm", one.algorithm},
          {"protocol", one.protocol},
          {"channels", one.channels},
          {"source", one.source},
          {"segments", one.segments.size()},
          {"bands", bands}};
}

}  // namespace

// {trees: [text…], maps: [{runs: [run…], messages: […]}…]}: runs with the same maps share one.
Json orders_json(const Report& report) {
  std::vector<std::pair<const std::vector<CollectiveInfo>*, std::vector<std::size_t>>> groups;
  for (std::size_t run = 0; run < report.runs.size(); ++run) {
    const auto& collectives = report.runs[run].measurement.candidate.run.environment.collectives;
    if (collectives.empty()) continue;
    const auto same = std::find_if(groups.begin(), groups.end(),
                                   [&](const auto& group) { return *group.first == collectives; });
    if (same == groups.end())
      groups.push_back({&collectives, {run}});
    else
      same->second.push_back(run);
  }
  Trees trees;
  Json maps = Json::array();
  for (const auto& [collectives, runs] : groups) {
    std::vector<const CollectiveInfo*> messages;
    for (const auto& one : *collectives) messages.push_back(&one);
    std::stable_sort(messages.begin(), messages.end(),
                     [](const auto* a, const auto* b) { return a->count < b->count; });
    Json list = Json::array();
    for (const std::size_t i : evenly(messages.size(), kMessages))
      list.push_back(message_json(*messages[i], trees));
    maps.push_back({{"runs", runs}, {"messages", list}, {"all", messages.size()}});
  }
  return {{"trees", trees.names()}, {"maps", maps}};
}

}  // namespace shardrift::report
