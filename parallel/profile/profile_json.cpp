// The profile's file: written for people and diffs (one probe a line), read as if by an enemy.
#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/durable_file.hpp"
#include "common/error.hpp"
#include "common/json_file.hpp"
#include "parallel/profile/profile.hpp"

namespace shardrift {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kFormat = "shardrift collective profile 1";
constexpr std::size_t kMaxBytes = std::size_t{256} << 20U;
constexpr std::int64_t kMaxCount = std::int64_t{1} << 40U;
constexpr std::int64_t kMaxBytesOfSpan = std::numeric_limits<std::int64_t>::max();

// One object being read: every key is fetched once, and finish() refuses those that nobody fetched.
class ObjectReader {
 public:
  ObjectReader(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) throw bad_data("{}: an object is expected, found {}", where_, shown(object));
  }
  const json& value(const char* key) {
    used_.emplace_back(key);
    const auto found = object_.find(key);
    if (found == object_.end()) throw bad_data("{}: key \"{}\" is missing", where_, key);
    return *found;
  }
  std::string text(const char* key) {
    const auto& found = value(key);
    if (!found.is_string()) throw wrong(key, "a text", found);
    return found.get<std::string>();
  }
  std::int64_t integer(const char* key, std::int64_t low, std::int64_t high) {
    return number(value(key), key, low, high);
  }
  // nullptr where the key is not there.
  const json* optional(const char* key) {
    used_.emplace_back(key);
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }
  std::int64_t number(const json& found, const char* key, std::int64_t low, std::int64_t high) const {
    const bool fits = found.is_number_integer() &&
                      (!found.is_number_unsigned() ||
                       found.get<std::uint64_t>() <= static_cast<std::uint64_t>(kMaxBytesOfSpan)) &&
                      found.get<std::int64_t>() >= low && found.get<std::int64_t>() <= high;
    if (!fits) throw wrong(key, fmt::format("a whole number from {} to {}", low, high), found);
    return found.get<std::int64_t>();
  }
  const json& array(const char* key, std::size_t least, std::size_t most) {
    const auto& found = value(key);
    if (!found.is_array() || found.size() < least || found.size() > most)
      throw wrong(key, fmt::format("an array of {} to {} elements", least, most), found);
    return found;
  }
  Error wrong(const char* key, const std::string& expected, const json& found) const {
    return bad_data("{}: key \"{}\": {} is expected, found {}", where_, key, expected, shown(found));
  }
  // A value whose reading throws an Error of its own: names the key.
  template <typename Read>
  auto named(const char* key, Read&& read) {
    try {
      return read(text(key));
    } catch (const Error& error) {
      throw bad_data("{}: key \"{}\": {}", where_, key, error.what());
    }
  }
  template <NamedEnum E>
  E choice(const char* key) {
    return named(key, [&](const std::string& name) { return shardrift::named<E>(key, name); });
  }
  const std::string& where() const { return where_; }
  void finish() const {
    for (const auto& [key, unused] : object_.items())
      if (std::find(used_.begin(), used_.end(), key) == used_.end())
        throw bad_data("{}: unknown key {}", where_, shown(json(key)));
  }

 private:
  const json& object_;
  std::string where_;
  std::vector<std::string> used_;
};

std::vector<std::vector<int>> read_rings(ObjectReader& model, int ranks) {
  std::vector<std::vector<int>> rings;
  for (const auto& item : model.array("rings", 0, 64)) {
    if (!item.is_array() || item.size() != static_cast<std::size_t>(ranks))
      throw model.wrong("rings", fmt::format("rings of {} ranks", ranks), item);
    std::vector<int> ring;
    for (const auto& rank : item) {
      ring.push_back(static_cast<int>(model.number(rank, "rings", 0, ranks - 1)));
      if (std::count(ring.begin(), ring.end(), ring.back()) != 1)
        throw model.wrong("rings", "each rank once", item);
    }
    rings.push_back(std::move(ring));
  }
  return rings;
}

NcclProtocolSpan read_span(ObjectReader& model, const json& item) {
  if (!item.is_array() || item.size() != 4 || !item[2].is_string() || !item[3].is_string())
    throw model.wrong("spans", "[first bytes, last bytes, protocol, protocol]", item);
  NcclProtocolSpan span;
  span.first_bytes = model.number(item[0], "spans", 1, kMaxBytesOfSpan);
  span.last_bytes = model.number(item[1], "spans", span.first_bytes, kMaxBytesOfSpan);
  try {
    span.lowest = named<NcclProtocol>("protocol", item[2].get<std::string>());
    span.highest = named<NcclProtocol>("protocol", item[3].get<std::string>());
  } catch (const Error& error) {
    throw bad_data("{}: key \"spans\": {}", model.where(), error.what());
  }
  if (span.lowest > span.highest) throw model.wrong("spans", "the lower protocol first", item);
  return span;
}

SumTree read_tree(ObjectReader& object, const json& item, int ranks) {
  if (!item.is_string()) throw object.wrong("trees", "a tree's text", item);
  SumTree tree;
  try {
    tree = tree_from_string(item.get<std::string>());
  } catch (const Error& error) {
    throw bad_data("{}: key \"trees\": {}", object.where(), error.what());
  }
  if (tree.shards() != ranks) throw object.wrong("trees", fmt::format("trees of {} ranks", ranks), item);
  return tree;
}

CollectiveModel read_model(const json& value, int ranks, const std::string& where) {
  if (value.is_null()) return std::monostate{};
  ObjectReader object(value, where + ": model");
  const auto kind = object.text("kind");
  if (kind == "openmpi") {
    const OpenMpiModel model{object.choice<OpenMpiAllReduce>("all_reduce")};
    object.finish();
    return model;
  }
  if (kind != "nccl") throw object.wrong("kind", "\"nccl\" or \"openmpi\"", json(kind));
  NcclModel model;
  model.algorithm = object.choice<NcclAlgorithm>("algorithm");
  for (const auto& item : object.array("channels", 1, 64)) {
    const auto least = model.channels.empty() ? 1 : model.channels.back() + 1;
    model.channels.push_back(static_cast<int>(object.number(item, "channels", least, 64)));
  }
  model.rings = read_rings(object, ranks);
  const bool matched =
      model.rings.size() <= 1 ||
      (model.channels.size() == 1 && model.rings.size() == static_cast<std::size_t>(model.channels.front()));
  if (!matched) throw object.wrong("rings", "none, one, or one for each channel", json(model.rings));
  for (const auto& item : object.array("spans", 0, 10000)) model.spans.push_back(read_span(object, item));
  if (object.optional("trees") != nullptr)
    for (const auto& item : object.array("trees", 1, 64))
      model.trees.push_back(read_tree(object, item, ranks));
  object.finish();
  return model;
}

void read_segments(ObjectReader& object, ProbeResult& probe) {
  for (const auto& item : object.array("trees", 0, 135135)) {
    auto tree = read_tree(object, item, probe.ranks);
    if (std::find(probe.trees.begin(), probe.trees.end(), tree) != probe.trees.end())
      throw object.wrong("trees", "each tree once", item);
    probe.trees.push_back(std::move(tree));
  }
  const auto trees = static_cast<std::int64_t>(probe.trees.size());
  std::int64_t next = 0;
  std::int64_t used = 0;  // trees named so far, which come in order of first use
  for (const auto& item : object.array("segments", 1, 50'000'000)) {
    if (!item.is_array() || item.size() != 3) throw object.wrong("segments", "[begin, end, tree]", item);
    OrderSegment segment;
    segment.begin = object.number(item[0], "segments", next, next);
    segment.end = object.number(item[1], "segments", next + 1, probe.count);
    segment.tree =
        static_cast<std::int32_t>(object.number(item[2], "segments", kNotBinary, std::min(used, trees - 1)));
    if (!probe.segments.empty() && probe.segments.back().tree == segment.tree)
      throw object.wrong("segments", "another tree than its neighbour's", item);
    used = std::max<std::int64_t>(used, segment.tree + 1);
    next = segment.end;
    probe.segments.push_back(segment);
  }
  if (next != probe.count || used != trees)
    throw bad_data("{}: key \"segments\": {} of {} elements and {} of {} trees are used", object.where(),
                   next, probe.count, used, trees);
}

ProbedCollective read_probed(const json& value, int ranks, const std::string& where) {
  ObjectReader object(value, where);
  ProbedCollective one;
  one.operation = object.choice<CollectiveOperation>("operation");
  one.probe.ranks = ranks;
  one.probe.dtype = object.choice<DType>("dtype");
  if (storage_of(one.probe.dtype) != one.probe.dtype)
    throw object.wrong("dtype", "a type that is stored", value["dtype"]);
  one.probe.count = object.integer("count", 1, kMaxCount);
  one.probe.calls = static_cast<int>(object.integer("calls", 1, 1000));
  if (!object.value("accumulator").is_null())
    one.probe.accumulator = object.choice<Accumulator>("accumulator");
  one.probe.first_unexplained = object.integer("first_unexplained", -1, one.probe.count - 1);
  const auto& agreed = object.value("model_agrees");
  if (!agreed.is_null() && !agreed.is_boolean())
    throw object.wrong("model_agrees", "true, false or null", agreed);
  if (agreed.is_boolean()) one.model_agrees = agreed.get<bool>();
  if (const auto* told = object.optional("told")) {
    if (!told->is_array() || told->size() != 3 || !(*told)[0].is_string() || !(*told)[1].is_string())
      throw object.wrong("told", "[algorithm, protocol, channels]", *told);
    one.told = CollectiveChoice{(*told)[0].get<std::string>(), (*told)[1].get<std::string>(),
                                static_cast<int>(object.number((*told)[2], "told", 0, 255))};
  }
  read_segments(object, one.probe);
  object.finish();
  return one;
}

ordered_json spans_to_json(const std::vector<NcclProtocolSpan>& spans) {
  auto list = ordered_json::array();
  for (const auto& span : spans)
    list.push_back(ordered_json::array(
        {span.first_bytes, span.last_bytes, name_of(span.lowest), name_of(span.highest)}));
  return list;
}

ordered_json model_to_json(const CollectiveModel& model) {
  if (const auto* openmpi = std::get_if<OpenMpiModel>(&model))
    return {{"kind", "openmpi"}, {"all_reduce", name_of(openmpi->all_reduce)}};
  const auto* nccl = std::get_if<NcclModel>(&model);
  if (nccl == nullptr) return nullptr;
  ordered_json object = {{"kind", "nccl"},
                         {"algorithm", name_of(nccl->algorithm)},
                         {"channels", nccl->channels},
                         {"rings", nccl->rings},
                         {"spans", spans_to_json(nccl->spans)}};
  for (const auto& tree : nccl->trees) object["trees"].push_back(to_string(tree));
  return object;
}

ordered_json probed_to_json(const ProbedCollective& one) {
  const auto& probe = one.probe;
  ordered_json item = {{"operation", name_of(one.operation)},
                       {"dtype", name_of(probe.dtype)},
                       {"count", probe.count},
                       {"calls", probe.calls},
                       {"accumulator", nullptr},
                       {"first_unexplained", probe.first_unexplained},
                       {"model_agrees", nullptr}};
  if (probe.accumulator) item["accumulator"] = name_of(*probe.accumulator);
  if (one.model_agrees) item["model_agrees"] = *one.model_agrees;
  if (one.told)
    item["told"] = ordered_json::array({one.told->algorithm, one.told->protocol, one.told->channels});
  item["trees"] = ordered_json::array();
  for (const auto& tree : probe.trees) item["trees"].push_back(to_string(tree));
  item["segments"] = ordered_json::array();
  for (const auto& segment : probe.segments)
    item["segments"].push_back(ordered_json::array({segment.begin, segment.end, segment.tree}));
  return item;
}

}  // namespace

CollectiveProfile profile_from_json(std::string_view text, const std::string& where) {
  const json whole = parse_json_object(text, where);
  ObjectReader object(whole, where);
  if (const auto format = object.text("format"); format != kFormat)
    throw object.wrong("format", fmt::format("\"{}\"", kFormat), json(format));
  CollectiveProfile profile;
  profile.library = object.text("library");
  profile.library_version = object.text("library_version");
  profile.transport = object.text("transport");
  profile.ranks = static_cast<int>(object.integer("ranks", 2, kMaxProbeRanks));
  profile.device = object.text("device");
  profile.machine = object.text("machine");
  profile.date = object.text("date");
  const auto& variables = object.value("variables");
  if (!variables.is_object()) throw object.wrong("variables", "an object", variables);
  for (const auto& [name, value] : variables.items()) {
    if (!value.is_string()) throw object.wrong("variables", "texts", value);
    profile.variables[name] = value.get<std::string>();
  }
  profile.model = read_model(object.value("model"), profile.ranks, where);
  if (object.optional("told_spans") != nullptr)
    for (const auto& item : object.array("told_spans", 0, 10000))
      profile.told_spans.push_back(read_span(object, item));
  const auto& probed = object.array("probed", 0, 100000);
  for (std::size_t i = 0; i < probed.size(); ++i) {
    auto one = read_probed(probed[i], profile.ranks, fmt::format("{}: probed[{}]", where, i));
    if (profile.find(one.operation, one.probe.dtype, one.probe.count) != nullptr)
      throw bad_data("{}: probed[{}]: the {} of {} {} elements appears twice", where, i,
                     name_of(one.operation), one.probe.count, name_of(one.probe.dtype));
    profile.add(std::move(one));
  }
  object.finish();
  return profile;
}

CollectiveProfile read_profile(const std::filesystem::path& path) {
  auto profile = profile_from_json(read_text_file(path, kMaxBytes), path.string());
  profile.file = path;
  return profile;
}

std::string profile_to_json(const CollectiveProfile& profile) {
  ordered_json head = {{"format", kFormat},
                       {"library", profile.library},
                       {"library_version", profile.library_version},
                       {"transport", profile.transport},
                       {"ranks", profile.ranks},
                       {"device", profile.device},
                       {"machine", profile.machine},
                       {"variables", profile.variables},
                       {"date", profile.date},
                       {"model", model_to_json(profile.model)}};
  if (!profile.told_spans.empty()) head["told_spans"] = spans_to_json(profile.told_spans);
  std::string text = "{\n";
  for (const auto& [key, value] : head.items())
    text += fmt::format("  {}: {},\n", ordered_json(key).dump(), value.dump());
  text += "  \"probed\": [";
  const char* separator = "\n";
  for (const auto& one : profile.probed) {
    text += separator + ("    " + probed_to_json(one).dump());
    separator = ",\n";
  }
  return text + "\n  ]\n}\n";
}

void write_profile(const CollectiveProfile& profile, const std::filesystem::path& path) {
  write_text_durably(path, profile_to_json(profile));
}

}  // namespace shardrift
