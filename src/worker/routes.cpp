#include "worker/routes.hpp"

#include <algorithm>
#include <numeric>

#include "common/error.hpp"
#include "common/hash.hpp"

namespace shardrift {
namespace {

const ExpertsSpec& experts_of(const ModelConfig& config, std::int32_t layer) {
  return config.specs[static_cast<std::size_t>(layer)].experts;
}

}  // namespace

std::vector<std::int32_t> mixture_layers(const ModelConfig& config) {
  std::vector<std::int32_t> layers;
  for (std::size_t layer = 0; layer < config.specs.size(); ++layer)
    if (config.specs[layer].experts.count > 0) layers.push_back(static_cast<std::int32_t>(layer));
  return layers;
}

RouteCollector::RouteCollector(const ModelConfig& config, const Plan& plan, const Place& place,
                               const Communicator& replica)
    : plan_(plan),
      place_(place),
      replica_(replica),
      layers_(mixture_layers(config)),
      active_(experts_of(config, layers_.front()).active) {
  std::int64_t first = 0;
  for (const int layers : plan.stage_layers) {
    const Range stage{first, first + layers};
    stage_mixtures_.push_back(std::count_if(layers_.begin(), layers_.end(),
                                            [&](std::int32_t layer) { return stage.contains(layer); }));
    first = stage.end;
  }
}

void RouteCollector::collect(std::int64_t rows, const PassRoutes& mine) {
  rows_ = rows;
  if (place_.t != 0) return;  // every rank of a tensor-parallel group routes alike
  const int writer = writing_rank(plan_);
  if (!place_.last_stage) {
    if (mine.experts.empty()) return;
    replica_.send(std::as_bytes(mine.experts), writer);
    replica_.send(std::as_bytes(mine.weights), writer);
    return;
  }
  const auto count = layers_.size() * static_cast<std::size_t>(rows * active_);
  experts_.resize(count);
  weights_.resize(count);
  std::size_t at = 0;
  for (int stage = 0; stage < plan_.pipeline; ++stage) {
    const auto pairs =
        static_cast<std::size_t>(stage_mixtures_[static_cast<std::size_t>(stage)] * rows * active_);
    const auto experts = std::span(experts_).subspan(at, pairs);
    const auto weights = std::span(weights_).subspan(at, pairs);
    at += pairs;
    if (stage == place_.stage) {
      std::copy(mine.experts.begin(), mine.experts.end(), experts.begin());
      std::copy(mine.weights.begin(), mine.weights.end(), weights.begin());
    } else if (pairs > 0) {
      replica_.receive(std::as_writable_bytes(experts), stage * plan_.tensor_parallel);
      replica_.receive(std::as_writable_bytes(weights), stage * plan_.tensor_parallel);
    }
  }
}

void RouteCollector::append(Range rows, TokenRoutes& to) const {
  for (auto row = rows.begin; row < rows.end; ++row)
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      const auto at = (static_cast<std::int64_t>(layer) * rows_ + row) * active_;
      to.experts.insert(to.experts.end(), experts_.begin() + at, experts_.begin() + at + active_);
      to.weights.insert(to.weights.end(), weights_.begin() + at, weights_.begin() + at + active_);
    }
}

void RouteCollector::finish(TokenRoutes& of, record::PromptRecord& record) const {
  record::Routes& routes = record.routes;
  routes.layers = layers_;
  routes.k = active_;
  routes.positions = static_cast<std::int64_t>(of.experts.size() / layers_.size()) / active_;
  routes.experts.resize(of.experts.size());
  routes.weights.resize(of.weights.size());
  const auto k = static_cast<std::size_t>(active_);
  for (std::size_t layer = 0, layers = layers_.size(); layer < layers; ++layer)
    for (std::int64_t position = 0; position < routes.positions; ++position) {
      const auto from = (static_cast<std::size_t>(position) * layers + layer) * k;
      std::copy_n(of.experts.begin() + static_cast<std::ptrdiff_t>(from), k,
                  routes.experts.begin() + static_cast<std::ptrdiff_t>(routes.at(layer, position)));
      std::copy_n(of.weights.begin() + static_cast<std::ptrdiff_t>(from), k,
                  routes.weights.begin() + static_cast<std::ptrdiff_t>(routes.at(layer, position)));
    }
  of = {};
}

RouteReplay::RouteReplay(const std::filesystem::path& record, const ModelConfig& config,
                         const std::vector<Job>& jobs)
    : reader_(record::Reader::open(record)), layers_(mixture_layers(config)) {
  if (layers_.empty())
    throw usage_error("--replay-routes {}: {} has no experts; leave it out", record.string(),
                      config.architecture);
  active_ = experts_of(config, layers_.front()).active;
  Sha256 hash;
  const auto held = reader_.prompt_ids();
  for (const auto& job : jobs) {
    const auto& id = job.prompt.id;
    if (std::find(held.begin(), held.end(), id) == held.end())
      throw bad_data("{}: --replay-routes: the record has no prompt '{}'", record.string(), id);
    const auto prompt = reader_.prompt(id);
    const record::Routes& routes = prompt.routes;
    if (routes.empty())
      throw bad_data(
          "{}: --replay-routes: prompt '{}' has no routes: it was recorded by a model without "
          "experts, or by a version before routes were",
          record.string(), id);
    if (routes.layers != layers_ || routes.k != active_)
      throw bad_data(
          "{}: --replay-routes: prompt '{}' has {} experts a token in {} layers, this model has {} in {}",
          record.string(), id, routes.k, routes.layers.size(), active_, layers_.size());
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      const auto count = experts_of(config, layers_[layer]).count;
      const auto begin = routes.experts.begin() + static_cast<std::ptrdiff_t>(routes.at(layer, 0));
      for (auto at = begin; at != begin + static_cast<std::ptrdiff_t>(routes.positions * routes.k); ++at) {
        const bool ascends = (at - begin) % routes.k == 0 || at[-1] < *at;
        if (*at < 0 || *at >= count || !ascends)
          throw bad_data(
              "{}: --replay-routes: prompt '{}', layer {}, position {}: expert {} (ascending ids below {} "
              "are "
              "expected)",
              record.string(), id, layers_[layer], (at - begin) / routes.k, *at, count);
      }
    }
    auto fed = job.prompt.tokens;
    fed.insert(fed.end(), job.fed.begin(), job.fed.end());
    auto recorded = prompt.prompt.tokens;
    if (reader_.run().mode != "score")
      for (std::size_t row = 1; row < prompt.rows.size(); ++row)
        recorded.push_back(prompt.rows[row].input_id);
    const auto [mine, theirs] = std::mismatch(fed.begin(), fed.end(), recorded.begin(), recorded.end());
    if (mine != fed.end() || static_cast<std::int64_t>(fed.size()) > routes.positions)
      throw bad_data(
          "{}: --replay-routes: prompt '{}' was fed other tokens there, from position {} on: replay routes "
          "of "
          "the record that is followed, or of one with the same prompts",
          record.string(), id, mine - fed.begin());
    hash.update(
        {reinterpret_cast<const char*>(routes.experts.data()), routes.experts.size() * sizeof(std::int32_t)});
  }
  hash_ = hash.hex();
}

void RouteReplay::open(const std::string& id) {
  routes_.emplace(id, reader_.prompt(id).routes);
}

void RouteReplay::add_row(const std::string& id, std::int64_t position) {
  rows_.push_back({id.empty() ? nullptr : &routes_.at(id), position});
}

std::vector<std::int32_t> RouteReplay::take() {
  std::vector<std::int32_t> all;
  const auto k = static_cast<std::size_t>(active_);
  for (std::size_t layer = 0; layer < layers_.size(); ++layer)
    for (const Row& row : rows_) {
      const auto end = all.size();
      all.resize(end + k);
      if (row.routes == nullptr) {
        std::iota(all.begin() + static_cast<std::ptrdiff_t>(end), all.end(), 0);
      } else {
        std::copy_n(
            row.routes->experts.begin() + static_cast<std::ptrdiff_t>(row.routes->at(layer, row.position)), k,
            all.begin() + static_cast<std::ptrdiff_t>(end));
      }
    }
  rows_.clear();
  return all;
}

}  // namespace shardrift
