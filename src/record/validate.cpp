#include "record/validate.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "common/json_file.hpp"
#include "common/text.hpp"
#include "record/hdf5_fields.hpp"
#include "record/hdf5_types.hpp"
#include "record/part_file.hpp"

namespace shardrift::record {
namespace {

namespace fs = std::filesystem;

// What is not known of a file without it.
struct Optional {
  const char* name;
  const char* then;
};
constexpr const char* kUnknownMade = "how and by what version it was made is not said";
constexpr Optional kOfRun[] = {
    {"created", "when it was made is not said"}, {"command", kUnknownMade}, {"version", kUnknownMade}};
constexpr Optional kOfModel[] = {
    {"architecture", "which kind of model it is of is not said"},
    {"dtype", "which dtype the engine computed in is not said"},
    {"quantization", "whether the checkpoint was quantized is not said ('none' is an answer)"},
    {"config", "config.json is not there to look things up in"},
    {"identity", "whether two records are of the same config.json and tensors is not known"},
    {"weights",
     "whether two records ran the same weights is taken on trust (shardrift import --model says it)"},
    {"tokenizer", "whether both texts were cut into tokens alike is seen from the tokens alone"}};
constexpr Optional kOfPrompt[] = {
    {"stop", "whether its text had ended (eos) is not known: it counts as cut off"},
    {"hash", "an edited or damaged prompt is noticed by HDF5's checksums alone, where the file has them"}};
constexpr Optional kBesidesRows[] = {
    {"text", "its text is not shown"},
    {"forward", "which passes computed it and how long they took is not known: no speed, no cost in gate"},
    {"hidden", "explain has no growth through the layers"},
    {"checksums", "explain cannot name the first operation that differs"}};

// What keeps a plan from saying who computed the record; empty: nothing.
std::string fault_of_plan(const std::string& plan) {
  const auto json = nlohmann::json::parse(plan, nullptr, false);
  if (json.is_discarded()) return "is no JSON: " + shown(plan);
  if (!json.is_object()) return "is " + shown(json) + ", no JSON object";
  const auto engine = json.find("engine");
  if (engine == json.end())
    return json.contains("shards") ? "" : "has no engine, and no shards as a plan of shardrift-run has";
  if (!engine->is_string()) return "names the engine " + shown(*engine) + ", which is no text";
  return is_blank(engine->get<std::string>()) ? "names an engine without a name" : "";
}

class Validator {
 public:
  explicit Validator(const fs::path& path) { found_.path = path; }

  Validation run() {
    const auto bytes = regular_file_bytes(found_.path);
    reading(found_.path, [&] {
      attempt("/", "", [&] {
        const auto file = h5::open_file(found_.path);
        const auto root = h5::Group::root(file, bytes);
        look_at_run(root);
        look_at_prompts(root);
      });
    });
    tell_of_all_prompts();
    return std::move(found_);
  }

 private:
  // should: what the object has to be, said after what is wrong with it.
  template <typename Look>
  bool attempt(const std::string& object, const std::string& should, Look&& look) {
    try {
      look();
      return true;
    } catch (const h5::Hdf5Error& error) {
      std::string what = error.what();
      if (what.starts_with(object + ": ")) what.erase(0, object.size() + 2);
      found_.wrong.push_back({object, should.empty() ? what : what + "; it has to be " + should});
      return false;
    }
  }

  void lacks(const std::string& object, const char* then) { found_.lacks.push_back({object, then}); }

  template <typename Value>
  void look_at_fields(const h5::Group& group, Value& value,
                      const std::map<std::string, std::string>& should) {
    for_each_field(value, [&](const auto& row, auto& field) {
      const std::string name(row.key);
      if (row.needed == Needed::no && !group.has_attribute(name)) return;
      const auto what = should.find(name);
      attempt(group.path() + "/@" + name, what == should.end() ? "a text of fixed length" : what->second,
              [&] { h5::read_field(group, name, field); });
    });
  }

  void look_at_run(const h5::Group& root) {
    attempt("/@schema", "1 (int64)", [&] { check_schema(root); });
    attempt("/@status", "'complete', a text of fixed length", [&] {
      const auto status = root.text("status");
      if (status != "complete" && status != "partial")
        throw h5::Hdf5Error("'" + status + "' is neither complete nor partial");
      if (status == "partial")
        lacks("/@status",
              "'partial' says that prompts are still to come: no comparison of it is ever conclusive; "
              "'complete' "
              "where all are there");
    });
    RunInfo run;
    look_at_fields(
        root, run,
        {{"plan", "a text that says who computed this: '{\"engine\": \"vLLM 0.11, TP=4\"}'"},
         {"mode", "'greedy', 'follow' (given tokens, one by one) or 'score' (given tokens, at once)"},
         {"level", "'logits', or 'top' where only the most likely tokens are there"},
         {"logits_dtype", "'float64', 'float32', 'float16' or 'bfloat16'"}});
    if (!run.mode.empty() && run.mode != "greedy" && run.mode != "follow" && run.mode != "score")
      found_.wrong.push_back(
          {"/@mode", fmt::format("is '{}'; it has to be 'greedy', 'follow' (given tokens, one by "
                                 "one) or 'score' (given tokens, at once)",
                                 run.mode)});
    if (!run.level.empty() && run.level != "top" && run.level != "logits" && run.level != "hidden")
      found_.wrong.push_back(
          {"/@level", fmt::format("is '{}'; it has to be 'top', 'logits' or 'hidden'", run.level)});
    if (const auto fault = run.plan.empty() ? std::string() : fault_of_plan(run.plan); !fault.empty())
      found_.wrong.push_back(
          {"/@plan", fault + "; it has to say who computed this: '{\"engine\": \"vLLM 0.11, TP=4\"}'"});
    for (const auto& one : kOfRun)
      if (!root.has_attribute(one.name)) lacks(std::string("/@") + one.name, one.then);
    shape_.dtype = run.logits_dtype;
    attempt("/model", "a group with the int64 attribute vocabulary", [&] {
      const auto group = root.group("model");
      ModelInfo model;
      look_at_fields(group, model, {{"vocabulary", "the number of logits in a row (int64)"}});
      shape_.vocabulary = model.vocabulary;
      for (const auto& one : kOfModel)
        if (!group.has_attribute(one.name)) lacks(std::string("/model/@") + one.name, one.then);
      if (!group.has("vocab")) lacks("/model/vocab", "tokens are shown as numbers");
    });
    if (!root.has("environment"))
      lacks("/environment", "which devices, libraries and variables computed it is not known");
    else
      attempt("/environment", "groups devices, libraries, variables, settings of text attributes",
              [&] { read_environment(root.group("environment")); });
  }

  void look_at_prompts(const h5::Group& root) {
    attempt("/prompts", "a group with one group a prompt", [&] {
      const auto prompts = root.group("prompts");
      for (const auto& id : prompts.children()) {
        if (!valid_id(id)) {
          found_.wrong.push_back(
              {"/prompts/" + id, "is no prompt's id; use 1 to 64 of A-Z a-z 0-9 _ - . and no leading dot"});
          continue;
        }
        ++found_.prompts;
        const auto faults = found_.wrong.size();
        attempt("/prompts/" + id, "a group", [&] { look_at_prompt(prompts.group(id)); });
        // What is left, as Reader sees it.
        if (found_.wrong.size() == faults)
          attempt("/prompts/" + id, "", [&] { read_prompt(prompts, id, shape_); });
      }
      if (prompts.children().empty()) throw h5::Hdf5Error("holds no prompt");
    });
  }

  void look_at_prompt(const h5::Group& prompt) {
    const std::string path = prompt.path();
    attempt(path + "/@index", "its place among the prompts, from 0 (int64)", [&] {
      const auto index = prompt.integer("index");
      if (index < 0) throw h5::Hdf5Error(fmt::format("is {}", index));
      if (const auto [other, first] = indices_.try_emplace(index, path); !first)
        throw h5::Hdf5Error(fmt::format("is {}, as that of {}", index, other->second));
    });
    if (prompt.has_attribute("status"))
      attempt(path + "/@status", "'complete', a text of fixed length", [&] {
        if (const auto status = prompt.text("status"); status != "complete")
          throw h5::Hdf5Error("is '" + status + "'");
      });
    std::size_t steps = 0;
    const auto ids = [&](const char* name, const char* should, bool tells) {
      attempt(path + "/" + name, should, [&] {
        const auto values = prompt.read_int32(name);
        if (values.empty()) throw h5::Hdf5Error("is empty");
        if (tells) steps = values.size();
        if (!tells && std::string_view(name) != "tokens" && values.size() != steps)
          throw h5::Hdf5Error(fmt::format("has {} rows, input_ids has {}", values.size(), steps));
      });
    };
    ids("tokens", "int32 [prompt length]: the prompt as fed", false);
    ids("input_ids", "int32 [steps]: the token fed at each row", true);
    ids("positions", "int32 [steps]: its 0-based position", false);
    ids("chosen", "int32 [steps]: the most likely token of each row", false);
    found_.rows += static_cast<std::int64_t>(steps);
    if (prompt.has("logits")) {
      if (attempt(path + "/logits",
                  fmt::format("{} [{} steps, {} in the vocabulary]", name_of(shape_.dtype), steps,
                              shape_.vocabulary),
                  [&] { open_logits(prompt, shape_, steps); }))
        found_.rows_with_logits += static_cast<std::int64_t>(steps);
    } else if (!prompt.has("top")) {
      found_.wrong.push_back(
          {path + "/logits",
           "is not there, and no top/ids and top/log_probabilities either: one of them is needed"});
    } else {
      lacks_one("/logits",
                "only its most likely tokens are there: choices are compared, not bits and not KL");
    }
    for (const auto& one : kOfPrompt)
      if (!prompt.has_attribute(one.name)) lacks_one(std::string("/@") + one.name, one.then);
    for (const auto& one : kBesidesRows)
      if (!prompt.has(one.name)) lacks_one(std::string("/") + one.name, one.then);
  }

  void lacks_one(const std::string& name, const char* then) {
    auto& one = lacking_[name];
    ++one.count;
    one.then = then;
  }

  void tell_of_all_prompts() {
    for (const auto& [name, one] : lacking_)
      found_.lacks.push_back({one.count == found_.prompts ? "/prompts/*" + name
                                                          : fmt::format("/prompts/*{} ({} of {} prompts)",
                                                                        name, one.count, found_.prompts),
                              one.then});
  }

  struct Lacking {
    std::int64_t count = 0;
    const char* then = "";
  };
  Validation found_;
  LogitsShape shape_;
  std::map<std::int64_t, std::string> indices_;  // and whose they are
  std::map<std::string, Lacking> lacking_;       // by name below a prompt
};

}  // namespace

Validation validate(const fs::path& path) {
  return Validator(path).run();
}

}  // namespace shardrift::record
