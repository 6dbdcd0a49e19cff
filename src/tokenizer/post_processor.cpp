#include "tokenizer/post_processor.hpp"

#include <limits>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "common/json_reader.hpp"

namespace shardrift {
namespace {

// The ids of a special token that the template names.
std::vector<std::int32_t> special_ids(const JsonObject& json, const nlohmann::json& name) {
  const auto table = json.object("special_tokens");
  const auto* entry =
      table && name.is_string() ? table->get(name.get_ref<const std::string&>().c_str()) : nullptr;
  const auto* list = entry != nullptr && entry->is_object() ? member(*entry, "ids") : nullptr;
  if (list == nullptr || !list->is_array()) {
    throw bad_data("{}: special_tokens has no ids for {}", json.where(), shown(name));
  }
  std::vector<std::int32_t> ids;
  for (const auto& id : *list) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > std::numeric_limits<std::int32_t>::max()) {
      throw bad_data("{}: special_tokens gives {} as an id of {}", json.where(), shown(id), shown(name));
    }
    ids.push_back(id.get<std::int32_t>());
  }
  return ids;
}

PostProcessor read_template(const JsonObject& json) {
  const auto& single = json.list("single");
  PostProcessor result;
  bool text_seen = false;
  for (std::size_t i = 0; i < single.size(); ++i) {
    const auto& piece = single[i];
    const auto* inner = piece.is_object() && piece.size() == 1 && piece.front().is_object()
                            ? member(piece.front(), "id")
                            : nullptr;
    if (inner != nullptr && piece.contains("Sequence") && *inner == "A" && !text_seen) {
      text_seen = true;
    } else if (inner != nullptr && piece.contains("SpecialToken")) {
      auto& side = text_seen ? result.after : result.before;
      const auto ids = special_ids(json, *inner);
      side.insert(side.end(), ids.begin(), ids.end());
    } else {
      throw bad_data("{}: single[{}] is {}; special tokens and one Sequence A are expected", json.where(), i,
                     shown(piece));
    }
  }
  if (!text_seen) {
    throw bad_data("{}: single has no Sequence A: the text itself would be dropped", json.where());
  }
  return result;
}

// BERT's and RoBERTa's: one token before, one behind.
PostProcessor read_pair(const JsonObject& json) {
  const auto id = [&](const char* key) {
    const auto& pair = json.list(key, 2, 2);
    return static_cast<std::int32_t>(
        json.integer_of(key, pair[1], 0, std::numeric_limits<std::int32_t>::max()));
  };
  return {{id("cls")}, {id("sep")}};
}

}  // namespace

PostProcessor PostProcessor::from_json(const nlohmann::json* json, const std::string& where) {
  if (json == nullptr) {
    return {};
  }
  const auto* type = json->is_object() ? member(*json, "type") : nullptr;
  if (type == nullptr) {
    throw bad_data("{}: {} has no type", where, shown(*json));
  }
  if (*type == "ByteLevel") {  // concerns offsets only
    return {};
  }
  if (*type == "TemplateProcessing") {
    return read_template({*json, where});
  }
  if (*type == "RobertaProcessing" || *type == "BertProcessing") {
    return read_pair({*json, where});
  }
  if (*type != "Sequence") {
    throw bad_data(
        "{}: type is {}; this version computes Sequence, ByteLevel, TemplateProcessing, RobertaProcessing "
        "and "
        "BertProcessing (or null)",
        where, shown(*type));
  }
  const JsonObject processor(*json, where);
  const auto& list = processor.list("processors");
  PostProcessor all;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto next = from_json(&list[i], fmt::format("{}.processors[{}]", where, i));
    // A later one works on what the earlier ones made, so its tokens go outside.
    all.before.insert(all.before.begin(), next.before.begin(), next.before.end());
    all.after.insert(all.after.end(), next.after.begin(), next.after.end());
  }
  return all;
}

}  // namespace shardrift
