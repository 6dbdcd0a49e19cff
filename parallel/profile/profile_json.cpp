// The profile's file: written for people and diffs (one probe a line), read as if by an enemy.
#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/durable_file.hpp"
#include "common/error.hpp"
#include "common/json_file.hpp"
#include "common/json_reader.hpp"
#include "parallel/profile/profile.hpp"

namespace shardrift {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kFormat = "shardrift collective profile 1";
constexpr std::size_t kMaxBytes = std::size_t{256} << 20U;
constexpr std::int64_t kMaxCount = std::int64_t{1} << 40U;
constexpr std::int64_t kMaxBytesOfSpan = std::numeric_limits<std::int64_t>::max();

std::vector<std::vector<int>> read_rings(const JsonObject& model, int ranks) {
  std::vector<std::vector<int>> rings;
  for (const auto& item : model.list("rings", 0, 64)) {
    if (!item.is_array() || item.size() != static_cast<std::size_t>(ranks))
      throw model.wrong("rings", item, fmt::format("rings of {} ranks are expected", ranks));
    std::vector<int> ring;
    for (const auto& rank : item) {
      ring.push_back(static_cast<int>(model.integer_of("rings", rank, 0, ranks - 1)));
      if (std::count(ring.begin(), ring.end(), ring.back()) != 1)
        throw model.wrong("rings", item, "each rank once is expected");
    }
    rings.push_back(std::move(ring));
  }
  return rings;
}

NcclProtocolSpan read_span(const JsonObject& model, const json& item) {
  if (!item.is_array() || item.size() != 4)
    throw model.wrong("spans", item, "[first bytes, last bytes, protocol, protocol] is expected");
  NcclProtocolSpan span;
  span.first_bytes = model.integer_of("spans", item[0], 1, kMaxBytesOfSpan);
  span.last_bytes = model.integer_of("spans", item[1], span.first_bytes, kMaxBytesOfSpan);
  span.lowest = model.choice_of<NcclProtocol>("spans", item[2]);
  span.highest = model.choice_of<NcclProtocol>("spans", item[3]);
  if (span.lowest > span.highest) throw model.wrong("spans", item, "the lower protocol comes first");
  return span;
}

SumTree read_tree(const JsonObject& object, const json& item, int ranks) {
  auto tree = object.read_of("trees", item, tree_from_string);
  if (tree.shards() != ranks)
    throw object.wrong("trees", item, fmt::format("trees of {} ranks are expected", ranks));
  return tree;
}

CollectiveModel read_model(const JsonObject& object, int ranks) {
  const auto kind = object.text("kind");
  if (kind == "openmpi") {
    const OpenMpiModel model{object.choice<OpenMpiAllReduce>("all_reduce")};
    object.done();
    return model;
  }
  if (kind == "peer") {
    const PeerModel model{object.choice<Collective>("all_reduce")};
    if (model.all_reduce == Collective::library)
      throw object.wrong("all_reduce", name_of(model.all_reduce), "\"one-shot\" or \"two-shot\" is expected");
    object.done();
    return model;
  }
  if (kind != "nccl") throw object.wrong("kind", kind, "\"nccl\", \"openmpi\" or \"peer\" is expected");
  NcclModel model;
  model.algorithm = object.choice<NcclAlgorithm>("algorithm");
  for (const auto& item : object.list("channels", 1, 64)) {
    const auto least = model.channels.empty() ? 1 : model.channels.back() + 1;
    model.channels.push_back(static_cast<int>(object.integer_of("channels", item, least, 64)));
  }
  model.rings = read_rings(object, ranks);
  const bool matched =
      model.rings.size() <= 1 ||
      (model.channels.size() == 1 && model.rings.size() == static_cast<std::size_t>(model.channels.front()));
  if (!matched) throw object.wrong("rings", model.rings, "none, one, or one for each channel is expected");
  for (const auto& item : object.list("spans", 0, 10000)) model.spans.push_back(read_span(object, item));
  if (object.has("trees"))
    for (const auto& item : object.list("trees", 1, 64))
      model.trees.push_back(read_tree(object, item, ranks));
  object.done();
  return model;
}

void read_segments(const JsonObject& object, ProbeResult& probe) {
  for (const auto& item : object.list("trees", 0, 135135)) {
    auto tree = read_tree(object, item, probe.ranks);
    if (std::find(probe.trees.begin(), probe.trees.end(), tree) != probe.trees.end())
      throw object.wrong("trees", item, "each tree once is expected");
    probe.trees.push_back(std::move(tree));
  }
  const auto trees = static_cast<std::int64_t>(probe.trees.size());
  std::int64_t next = 0;
  std::int64_t used = 0;  // trees named so far, which come in order of first use
  for (const auto& item : object.list("segments", 1, 50'000'000)) {
    if (!item.is_array() || item.size() != 3)
      throw object.wrong("segments", item, "[begin, end, tree] is expected");
    OrderSegment segment;
    segment.begin = object.integer_of("segments", item[0], next, next);
    segment.end = object.integer_of("segments", item[1], next + 1, probe.count);
    segment.tree = static_cast<std::int32_t>(
        object.integer_of("segments", item[2], kNotBinary, std::min(used, trees - 1)));
    if (!probe.segments.empty() && probe.segments.back().tree == segment.tree)
      throw object.wrong("segments", item, "another tree than its neighbour's is expected");
    used = std::max<std::int64_t>(used, segment.tree + 1);
    next = segment.end;
    probe.segments.push_back(segment);
  }
  if (next != probe.count || used != trees)
    throw bad_data("{}: segments: {} of {} elements and {} of {} trees are used", object.where(), next,
                   probe.count, used, trees);
}

ProbedCollective read_probed(const JsonObject& object, int ranks) {
  ProbedCollective one;
  one.operation = object.choice<CollectiveOperation>("operation");
  one.probe.ranks = ranks;
  one.probe.dtype = object.choice<DType>("dtype");
  if (storage_of(one.probe.dtype) != one.probe.dtype)
    throw object.wrong("dtype", object.text("dtype"), "a type that is stored is expected");
  one.probe.count = object.integer("count", 1, kMaxCount);
  one.probe.calls = static_cast<int>(object.integer("calls", 1, 1000));
  if (object.nullable("accumulator") != nullptr)
    one.probe.accumulator = object.choice<Accumulator>("accumulator");
  one.probe.first_unexplained = object.integer("first_unexplained", -1, one.probe.count - 1);
  if (object.nullable("model_agrees") != nullptr) one.model_agrees = object.flag("model_agrees");
  if (const auto* told = object.get("told")) {
    if (!told->is_array() || told->size() != 3)
      throw object.wrong("told", *told, "[algorithm, protocol, channels] is expected");
    one.told = CollectiveChoice{object.text_of("told", (*told)[0]), object.text_of("told", (*told)[1]),
                                static_cast<int>(object.integer_of("told", (*told)[2], 0, 255))};
  }
  // null would be read as eager sums, which are others.
  if (object.has("captured") && object.get("captured") == nullptr)
    throw object.wrong("captured", nullptr, "true or false is expected");
  one.captured = object.flag("captured");
  if (object.has("seen")) one.seen = object.text("seen");
  read_segments(object, one.probe);
  object.done();
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
  if (const auto* peer = std::get_if<PeerModel>(&model))
    return {{"kind", "peer"}, {"all_reduce", name_of(peer->all_reduce)}};
  if (std::holds_alternative<NamedOrder>(model))
    throw failure("{} is an order by name, and no machine's profile", describe(model));
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
  if (one.captured) item["captured"] = true;
  if (!one.seen.empty()) item["seen"] = one.seen;
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
  const JsonObject object(whole, where);
  if (const auto format = object.text("format"); format != kFormat)
    throw object.wrong("format", format, fmt::format("\"{}\" is expected", kFormat));
  CollectiveProfile profile;
  profile.library = object.text("library");
  profile.library_version = object.text("library_version");
  profile.transport = object.text("transport");
  profile.ranks = static_cast<int>(object.integer("ranks", 2, kMaxProbeRanks));
  profile.device = object.text("device");
  profile.machine = object.text("machine");
  profile.date = object.text("date");
  const auto variables = object.required_object("variables");
  for (const auto& [name, value] : variables.json().items())
    profile.variables[name] = variables.text_of(name.c_str(), value);
  if (object.nullable("model") != nullptr)
    profile.model = read_model(object.required_object("model"), profile.ranks);
  if (object.has("told_spans"))
    for (const auto& item : object.list("told_spans", 0, 10000))
      profile.told_spans.push_back(read_span(object, item));
  object.list("probed", 0, 100000);
  for (const auto& item : object.objects("probed")) {
    auto one = read_probed(item, profile.ranks);
    if (profile.find(one.operation, one.probe.dtype, one.probe.count, one.captured) != nullptr)
      throw bad_data("{}: the {}{} of {} {} elements appears twice", item.where(),
                     one.captured ? "captured " : "", name_of(one.operation), one.probe.count,
                     name_of(one.probe.dtype));
    profile.add(std::move(one));
  }
  object.done();
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
