#include "record/validate.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "record/hdf5_fields.hpp"
#include "record/hdf5_types.hpp"
#include "record/part_file.hpp"
#include "record/value_faults.hpp"
#include "record/verify.hpp"

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
    {"created", "when it was made is not said"},
    {"command", kUnknownMade},
    {"version", kUnknownMade},
    {"schema_minor", "no hashes of its prompts are promised, so that none can be missed"},
    {"prompts_hash", "which prompts it was to have is not known"},
    {"resume_key", "whether two files of one name are the same run is seen from their contents alone"}};
constexpr Optional kOfModel[] = {
    {"architecture", "which kind of model it is of is not said"},
    {"dtype", "which dtype the engine computed in is not said"},
    {"quantization", "whether the checkpoint was quantized is not said ('none' is an answer)"},
    {"config", "config.json is not there to look things up in"},
    {"identity", "whether two records are of the same config.json and tensors is not known"},
    {"weights",
     "whether two records ran the same weights is taken on trust (shardrift import --model says it)"},
    {"generation_config", "whether both ended their texts at the same tokens is not known"},
    {"tokenizer", "whether both texts were cut into tokens alike is seen from the tokens alone"}};
constexpr const char* kNoStop = "whether its text had ended (eos) is not known: it counts as cut off";
constexpr Optional kOfPrompt[] = {
    {"stop", kNoStop},
    {"hash", "an edited or damaged prompt is noticed by HDF5's checksums alone, where the file has them"}};
constexpr Optional kBesidesRows[] = {
    {"text", "its text is not shown"},
    {"forward", "which passes computed it and how long they took is not known: no speed, no cost in gate"},
    {"hidden", "explain has no growth through the layers"},
    {"checksums", "explain cannot name the first operation that differs"}};

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
        look_at_level();
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

  void lacks(const std::string& object, const std::string& then) { found_.lacks.push_back({object, then}); }
  // fault: empty where there is none.
  void wrong(const std::string& object, const std::string& fault, const std::string& should) {
    if (!fault.empty()) found_.wrong.push_back({object, fault + "; it has to be " + should});
  }

  // Returns the names of those that could be read.
  template <typename Value>
  std::set<std::string> look_at_fields(const h5::Group& group, Value& value,
                                       const std::map<std::string, std::string>& should) {
    std::set<std::string> read;
    for_each_field(value, [&](const auto& row, auto& field) {
      const std::string name(row.key);
      if (row.needed == Needed::no && !group.has_attribute(name)) return;
      const auto what = should.find(name);
      if (attempt(group.path() + "/@" + name, what == should.end() ? "a text of fixed length" : what->second,
                  [&] { h5::read_field(group, name, field); }))
        read.insert(name);
    });
    return read;
  }

  // An empty text is how shardrift itself says that it does not know.
  static bool is_absent(const h5::Group& group, const std::string& name) {
    if (!group.has_attribute(name)) return true;
    try {
      return group.text(name).empty();
    } catch (const h5::Hdf5Error&) {
      return false;  // a number, or said to be wrong elsewhere
    }
  }

  static std::string fault_of_word(const std::string& word, const std::set<std::string>& words) {
    return words.contains(word) ? "" : "is '" + word + "'";
  }

  void look_at_run(const h5::Group& root) {
    attempt("/@schema", "1 (int64)", [&] { check_schema(root); });
    if (root.has_attribute("schema_minor"))
      attempt("/@schema_minor", "an int64 from 0", [&] {
        minor_ = root.integer("schema_minor");
        if (minor_ < 0) throw h5::Hdf5Error(fmt::format("is {}", minor_));
      });
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
    const std::string who = "a text that says who computed this: '{\"engine\": \"vLLM 0.11, TP=4\"}'";
    const std::string modes =
        "'greedy', 'follow' (given tokens, one by one) or 'score' (given tokens, at once)";
    const auto read =
        look_at_fields(root, run,
                       {{"plan", who},
                        {"mode", modes},
                        {"level", "'logits', or 'top' where only the most likely tokens are there"},
                        {"logits_dtype", "'float64', 'float32', 'float16' or 'bfloat16'"}});
    if (read.contains("mode")) wrong("/@mode", fault_of_word(run.mode, {"greedy", "follow", "score"}), modes);
    if (read.contains("level"))
      wrong("/@level", fault_of_word(run.level, {"top", "logits", "hidden"}), "'top', 'logits' or 'hidden'");
    if (const auto fault = read.contains("plan") ? fault_of_plan(run.plan) : ""; !fault.empty())
      found_.wrong.push_back(
          {"/@plan", fault + "; it has to say who computed this: '{\"engine\": \"vLLM 0.11, TP=4\"}'"});
    for (const auto& one : kOfRun)
      if (is_absent(root, one.name)) lacks(std::string("/@") + one.name, one.then);
    level_ = run.level;
    shape_.dtype = run.logits_dtype;
    greedy_ = run.mode == "greedy";
    attempt("/model", "a group with the int64 attribute vocabulary", [&] {
      const auto group = root.group("model");
      ModelInfo model;
      const std::string should = "the number of logits in a row (int64)";
      if (look_at_fields(group, model, {{"vocabulary", should}}).contains("vocabulary") &&
          model.vocabulary < 1)
        wrong("/model/@vocabulary", fmt::format("is {}", model.vocabulary), should);
      shape_.vocabulary = model.vocabulary;
      for (const auto& [name, hash] :
           {std::pair{"identity", model.identity}, std::pair{"weights", model.weights}})
        wrong(std::string("/model/@") + name, fault_of_sha256(hash),
              "64 hexadecimal digits, or left out where it is not known");
      if (const auto fault = fault_of_dtype(model.dtype); !fault.empty())
        lacks("/model/@dtype", fault + ": which dtype the engine computed in is not known");
      for (const auto& one : kOfModel)
        if (is_absent(group, one.name)) lacks(std::string("/model/@") + one.name, one.then);
      if (!group.has("vocab")) lacks("/model/vocab", "tokens are shown as numbers");
    });
    look_at_timing(root);
    if (!root.has("environment"))
      lacks("/environment", "which devices, libraries and variables computed it is not known");
    else
      attempt("/environment", "groups devices, libraries, variables, settings of text attributes",
              [&] { read_environment(root.group("environment")); });
  }

  void look_at_timing(const h5::Group& root) {
    if (!root.has("timing")) return lacks("/timing", "how long the run took is not known");
    attempt("/timing", "a group of seconds (float64) and numbers of tokens (int64)", [&] {
      const RunTiming timing = read_timing(root);
      for_each_field(timing, [&](const auto& row, const auto& amount) {
        if (const auto fault = fault_of_amount(static_cast<double>(amount)); !fault.empty())
          lacks("/timing/@" + std::string(row.key), fault + ": how long the run took is not known");
      });
    });
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
    std::map<std::string_view, std::vector<std::int32_t>> all;
    const auto ids = [&](const char* name, const char* should, bool tells) {
      attempt(path + "/" + name, should, [&] {
        const auto values = all[name] = prompt.read_int32(name);
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
    with_logits_ += prompt.has("logits") ? 1 : 0;
    with_hidden_ += prompt.has("hidden") ? 1 : 0;
    if (const auto fault =
            all["tokens"].empty() ? "" : fault_of_positions(all["positions"], all["tokens"].size());
        !fault.empty() && greedy_)
      wrong(path + "/positions", fault, "in mode greedy those of all tokens, one after another");
    else if (!fault.empty())
      lacks(path + "/positions", fault);
    look_at_hashes(prompt);
    if (shape_.vocabulary < 1) {
      // Said already: what a row has to hold is not known.
    } else if (prompt.has("logits")) {
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
    // Without logits the hash of the content says all.
    const bool hashed = !prompt.has("logits") && !is_absent(prompt, "content");
    for (const auto& one : kOfPrompt)
      if (!(hashed && std::string_view(one.name) == "hash") && is_absent(prompt, one.name) &&
          promised_.count(one.name) == 0)
        lacks_one(std::string("/@") + one.name, one.then);
    attempt(path + "/@stop", "a text of fixed length", [&] {
      if (const auto fault = fault_of_stop(prompt.text_or("stop", "")); !fault.empty())
        lacks_one("/@stop", fault + ": " + kNoStop);
    });
    for (const auto& one : kBesidesRows)
      if (!prompt.has(one.name)) lacks_one(std::string("/") + one.name, one.then);
  }

  // What a reader takes the level for, and what is there.
  void look_at_level() {
    const auto of = [&](std::int64_t count) {
      return fmt::format("{} of {} prompts", count, found_.prompts);
    };
    if (level_ == "top" && with_logits_ > 0)
      lacks("/@level",
            fmt::format("'top' says that no logits are there, but {} have them: 'logits' where all do",
                        of(with_logits_)));
    if ((level_ == "logits" || level_ == "hidden") && with_logits_ < found_.prompts)
      lacks("/@level",
            fmt::format("'{}' says that all logits are there, but {} have none: 'top' where only the "
                        "most likely tokens are",
                        level_, of(found_.prompts - with_logits_)));
    if (level_ == "hidden" && with_hidden_ < found_.prompts)
      lacks("/@level",
            fmt::format("'hidden' says that the residual stream is there, but {} have none: 'logits' "
                        "without it",
                        of(found_.prompts - with_hidden_)));
  }

  // Those that the file's schema_minor promises.
  void look_at_hashes(const h5::Group& prompt) {
    for (const auto* name : {"hash", "content"}) {
      if (std::string_view(name) == "hash" && !prompt.has("logits")) continue;
      attempt(prompt.path() + "/@" + name, "a text of fixed length", [&] {
        if (!prompt.text_or(name, "").empty()) return;
        if (const auto fault = fault_of_missing_hash(name, minor_); !fault.empty()) {
          found_.wrong.push_back({prompt.path() + "/@" + name, fault});
          promised_.insert(name);
        }
      });
    }
  }

  void lacks_one(const std::string& name, const std::string& then) { ++lacking_[{name, then}]; }

  void tell_of_all_prompts() {
    for (const auto& [what, count] : lacking_)
      found_.lacks.push_back({count == found_.prompts ? "/prompts/*" + what.first
                                                      : fmt::format("/prompts/*{} ({} of {} prompts)",
                                                                    what.first, count, found_.prompts),
                              what.second});
  }

  Validation found_;
  LogitsShape shape_;
  std::map<std::int64_t, std::string> indices_;  // and whose they are
  std::int64_t minor_ = 0;
  std::string level_;
  std::int64_t with_logits_ = 0;  // prompts
  std::int64_t with_hidden_ = 0;
  bool greedy_ = false;
  std::set<std::string> promised_;  // hashes that are missing and were promised
  // What prompts lack, its name below a prompt and what is not known then, and how many.
  std::map<std::pair<std::string, std::string>, std::int64_t> lacking_;
};

}  // namespace

Validation validate(const fs::path& path) {
  return Validator(path).run();
}

}  // namespace shardrift::record
