#include "analysis/graft/graft_table.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "common/error.hpp"
#include "common/text.hpp"

namespace shardrift::analysis {

GraftWanted graft_wanted(const std::string& flag, const std::string& text) {
  const auto colon = text.find(':');
  const auto operation = record::operation_from_name(text.substr(0, colon));
  if (!operation) {
    std::vector<std::string_view> names;
    for (int i = 0; i < record::kOperations; ++i) names.push_back(name_of(record::operation_at(i)));
    throw usage_error("{} {}: no operation of that name: {}", flag, text, fmt::join(names, ", "));
  }
  GraftWanted wanted{*operation, std::nullopt};
  const std::string layer = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (!in_layer(*operation)) {
    if (colon != std::string::npos)
      throw usage_error("{} {}: {} stands outside the layers: write {} alone", flag, text,
                        name_of(*operation), name_of(*operation));
    return wanted;
  }
  if (layer == "all") return wanted;
  wanted.layer = number_from<std::int64_t>(layer);
  if (!wanted.layer || *wanted.layer < 0)
    throw usage_error("{} {}: write {}:LAYER, layers from 0, or {}:all", flag, text, name_of(*operation),
                      name_of(*operation));
  return wanted;
}

void GraftSum::add(const Step& step, bool moved) {
  ++counts_.rows;
  if (!step.bit_equal) ++counts_.rows_differ;
  counts_.elements_differ += step.elements_differ;
  if (moved) ++counts_.rows_moved;
  if (step.flipped()) ++counts_.flips;
  divergence_ += step.kl;
  squares_ += step.rms * step.rms;
}

GraftDistance GraftSum::distance() const {
  GraftDistance distance = counts_;
  if (distance.rows > 0) {
    distance.kl_mean = divergence_ / static_cast<double>(distance.rows);
    distance.rms = std::sqrt(squares_ / static_cast<double>(distance.rows));
  }
  return distance;
}

double GraftTable::taken(const GraftDistance& left) const {
  if (!(plain.kl_mean > 0)) return kNoValue;
  return 1 - left.kl_mean / plain.kl_mean;
}

const GraftTable::Layer* GraftTable::best() const {
  if (layers.empty() || !(plain.kl_mean > 0)) return nullptr;
  return &*std::min_element(layers.begin(), layers.end(),
                            [](const Layer& a, const Layer& b) { return a.left.kl_mean < b.left.kl_mean; });
}

}  // namespace shardrift::analysis
