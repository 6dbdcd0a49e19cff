#include "weights/codings/compressed_scheme.hpp"

#include <algorithm>
#include <set>

#include "common/json_file.hpp"

namespace shardrift {
namespace {

constexpr const char* kKnown =
    "\"float-quantized\", \"int-quantized\", \"naive-quantized\", \"pack-quantized\" or \"mixed-precision\" "
    "is "
    "expected, no other format of compressed-tensors is decoded";
constexpr std::int64_t kMostSize = std::int64_t{1} << 28;

std::string class_of(const std::string& module) {
  return module.ends_with("embed_tokens") ? "Embedding" : "Linear";
}

CompressedScope scope_of(const JsonObject& weights) {
  if (weights.get("strategy") == nullptr) {
    if (weights.get("group_size") == nullptr) return CompressedScope::tensor;
    return weights.integer("group_size", -1, kMostSize) == -1 ? CompressedScope::channel
                                                              : CompressedScope::group;
  }
  const auto name = weights.text("strategy");
  if (name == "tensor") return CompressedScope::tensor;
  if (name == "channel") return CompressedScope::channel;
  if (name == "group") return CompressedScope::group;
  if (name == "block") return CompressedScope::block;
  throw weights.wrong("strategy", name, "tensor, channel, group or block is expected");
}

// false: no activation order, or one that left no trace in the checkpoint ("weight").
bool orders_groups(const JsonObject& weights) {
  const auto* order = weights.get("actorder");
  if (order == nullptr) return false;
  if (order->is_boolean()) return order->get<bool>();
  const auto name = weights.text("actorder");
  if (name == "group" || name == "dynamic") return true;
  if (name == "weight" || name == "static") return false;
  throw weights.wrong("actorder", name, "group or weight is expected");
}

// [128, 128]; older: "128x128".
std::vector<std::int64_t> block_of(const JsonObject& weights) {
  constexpr const char* kKey = "block_structure";
  nlohmann::json sizes = weights.required(kKey);
  std::smatch parts;
  if (const auto* text = sizes.get_ptr<const std::string*>();
      text != nullptr && std::regex_match(*text, parts, std::regex("([0-9]{1,9})x([0-9]{1,9})")))
    sizes = {std::stoll(parts[1]), std::stoll(parts[2])};
  if (!sizes.is_array() || sizes.size() != 2) throw weights.wrong(kKey, sizes, "two numbers are expected");
  std::vector<std::int64_t> block;
  for (const auto& size : sizes) block.push_back(weights.integer_of(kKey, size, 1, kMostSize));
  return block;
}

CompressedScheme scheme_of(const JsonObject& group, const std::string& format) {
  CompressedScheme scheme{.format = format};
  if (format == "pack-quantized") {
    scheme.storage = CompressedFormat::packed;
  } else if (format != "float-quantized" && format != "int-quantized" && format != "naive-quantized") {
    throw group.wrong("format", format, kKnown);
  }
  const auto weights = group.required_object("weights");
  const auto type = weights.text("type", "int");
  if (type != "int" && type != "float") throw weights.wrong("type", type, "int or float is expected");
  scheme.floats = type == "float";
  scheme.bits = static_cast<int>(weights.integer("num_bits", 1, 64, 8));
  const bool packed = scheme.storage == CompressedFormat::packed;
  const bool known = scheme.floats ? scheme.bits == 8 && !packed
                     : packed      ? scheme.bits == 2 || scheme.bits == 4 || scheme.bits == 8
                                   : scheme.bits <= 8;
  if (!known)
    throw weights.wrong(
        "num_bits", scheme.bits,
        fmt::format("{} of type {} is expected", packed ? "2, 4 or 8" : "8", packed ? "int" : type));
  scheme.symmetric = weights.flag("symmetric", true);
  if (scheme.floats && !scheme.symmetric)
    throw weights.wrong("symmetric", false, "true is expected of floats");
  scheme.scope = scope_of(weights);
  if (scheme.scope == CompressedScope::group) scheme.group_size = weights.integer("group_size", 1, kMostSize);
  if (scheme.scope == CompressedScope::block) scheme.block = block_of(weights);
  if (packed && scheme.scope == CompressedScope::block)
    throw weights.wrong("strategy", "block", "tensor, channel or group is expected of packed weights");
  scheme.act_order = orders_groups(weights);
  scheme.activations =
      group.get("input_activations") != nullptr || group.get("output_activations") != nullptr;
  return scheme;
}

void refuse_what_changes_weights(const JsonObject& config) {
  const auto sparsity = config.object("sparsity_config");
  if (const auto format = sparsity ? sparsity->text("format", "dense") : "dense"; format != "dense")
    throw sparsity->wrong("format", format, "dense is expected, sparse weights are not decoded");
  if (const auto transforms = config.object("transform_config"); transforms && !transforms->json().empty())
    throw config.wrong("transform_config", transforms->json(),
                       "none is expected, rotated or otherwise transformed weights are not computed with");
}

}  // namespace

std::string describe(const CompressedScheme& scheme) {
  const auto type = scheme.floats ? std::string("fp8") : fmt::format("int{}", scheme.bits);
  const auto end = scheme.activations ? ", weights only" : "";
  switch (scheme.scope) {
    case CompressedScope::tensor:
      return type + " per tensor" + end;
    case CompressedScope::channel:
      return type + " per channel" + end;
    case CompressedScope::block:
      return fmt::format("{}, blocks of {} x {}{}", type, scheme.block[0], scheme.block[1], end);
    case CompressedScope::group:
      break;
  }
  return fmt::format("{}, groups of {}{}{}", type, scheme.group_size, scheme.act_order ? ", act-order" : "",
                     end);
}

CompressedSchemes::CompressedSchemes(const JsonObject& config) {
  refuse_what_changes_weights(config);
  const auto format = config.text("format");
  const auto groups = config.required_object("config_groups");
  for (const auto& [name, value] : groups.json().items()) {
    const auto group = groups.required_object(name.c_str());
    if (group.get("weights") == nullptr) continue;  // of activations or cached keys alone
    const auto own = group.text("format", format);
    if (own == "mixed-precision")
      throw config.wrong("format", own, "each config group's own format is expected");
    const auto targets = group.texts("targets");
    schemes_.push_back(scheme_of(group, own));
    for (const auto& text : targets) {
      targets_.push_back(target(group, "targets", text));
      targets_.back().scheme = schemes_.size() - 1;
    }
  }
  if (config.get("ignore") != nullptr)
    for (const auto& text : config.texts("ignore")) ignored_.push_back(target(config, "ignore", text));
  // The order in which compressed-tensors asks.
  std::stable_sort(targets_.begin(), targets_.end(), [](const Target& one, const Target& other) {
    return std::pair(one.pattern.has_value(), one.text) < std::pair(other.pattern.has_value(), other.text);
  });
}

CompressedSchemes::Target CompressedSchemes::target(const JsonObject& config, const char* key,
                                                    const std::string& text) {
  Target target{.text = text};
  if (!text.starts_with("re:")) return target;
  try {
    target.pattern = std::regex(text.substr(3));
  } catch (const std::regex_error& error) {
    throw config.wrong(key, text, fmt::format("a regular expression is expected ({})", error.what()));
  }
  return target;
}

// As Python's re.match: from the name's beginning on.
bool CompressedSchemes::Target::names(const std::string& module) const {
  if (!pattern) return text == module;
  return std::regex_search(module, *pattern, std::regex_constants::match_continuous);
}

bool CompressedSchemes::ignores(const std::string& module) const {
  return std::any_of(ignored_.begin(), ignored_.end(), [&](const Target& target) {
    return target.names(module) || target.text == class_of(module);
  });
}

const CompressedScheme* CompressedSchemes::of(const std::string& module) const {
  if (ignores(module)) return nullptr;
  for (const auto& target : targets_)
    if (target.names(module)) return &schemes_[target.scheme];
  for (const auto& target : targets_)
    if (target.text == class_of(module)) return &schemes_[target.scheme];
  return nullptr;
}

std::string CompressedSchemes::description() const {
  std::vector<std::string> kinds;
  for (const auto& scheme : schemes_)
    if (auto kind = describe(scheme); std::find(kinds.begin(), kinds.end(), kind) == kinds.end())
      kinds.push_back(std::move(kind));
  std::string text = "compressed-tensors";
  for (std::size_t i = 0; i < kinds.size(); ++i) text += (i == 0 ? ", " : " and ") + kinds[i];
  return text;
}

}  // namespace shardrift
