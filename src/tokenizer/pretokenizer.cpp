#include "tokenizer/pretokenizer.hpp"

#include <algorithm>
#include <utility>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "common/json_reader.hpp"
#include "common/named_enum.hpp"
#include "tokenizer/byte_level.hpp"
#include "tokenizer/metaspace.hpp"
#include "tokenizer/punctuation.hpp"
#include "tokenizer/regex.hpp"
#include "tokenizer/replacement.hpp"

namespace shardrift {
namespace {

// GPT-2's words: English contractions, letters, numbers, other signs (each with one space before), spaces.
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

enum class Behavior { isolated, removed, merged_with_previous, merged_with_next, contiguous };
constexpr auto names_of(Behavior) {
  return std::to_array<Named<Behavior>>({{Behavior::isolated, "Isolated"},
                                         {Behavior::removed, "Removed"},
                                         {Behavior::merged_with_previous, "MergedWithPrevious"},
                                         {Behavior::merged_with_next, "MergedWithNext"},
                                         {Behavior::contiguous, "Contiguous"}});
}

// A stretch of a text, and whether it is one of the delimiters the pattern looks for.
struct Stretch {
  Range range;
  bool delimiter = false;
};

std::vector<Stretch> stretches(std::string_view text, const Regex& regex, bool invert) {
  std::vector<Stretch> all;
  std::size_t end = 0;
  for (const auto& match : regex.find_all(text)) {
    if (match.first != end) {
      all.push_back({{end, match.first}, invert});
    }
    all.push_back({match, !invert});
    end = match.second;
  }
  if (end != text.size()) {
    all.push_back({{end, text.size()}, invert});
  }
  return all;
}

// Joins a stretch to its neighbour in the list where `joins(stretch, the one before it was a delimiter)`.
template <typename Joins>
std::vector<Stretch> join(const std::vector<Stretch>& all, const Joins& joins) {
  std::vector<Stretch> joined;
  bool previous = false;
  for (const auto& stretch : all) {
    if (!joined.empty() && joins(stretch, previous)) {
      auto& range = joined.back().range;
      range = {std::min(range.first, stretch.range.first), std::max(range.second, stretch.range.second)};
    } else {
      joined.push_back(stretch);
    }
    previous = stretch.delimiter;
  }
  return joined;
}

std::vector<Stretch> apply(std::vector<Stretch> all, Behavior behavior) {
  // Of several delimiters in a row only the one next to the text is joined to it.
  const auto first_delimiter = [](const Stretch& s, bool previous) { return s.delimiter && !previous; };
  switch (behavior) {
    case Behavior::isolated:
      return all;
    case Behavior::removed:
      std::erase_if(all, [](const Stretch& stretch) { return stretch.delimiter; });
      return all;
    case Behavior::contiguous:
      return join(all, [](const Stretch& stretch, bool previous) { return stretch.delimiter == previous; });
    case Behavior::merged_with_previous:
      return join(all, first_delimiter);
    case Behavior::merged_with_next:
      std::reverse(all.begin(), all.end());
      all = join(all, first_delimiter);
      std::reverse(all.begin(), all.end());
      return all;
  }
  return all;
}

}  // namespace

class PreTokenizer::Step {
 public:
  Step() = default;
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
  virtual ~Step() = default;
  virtual void split(Word word, std::vector<Word>& out) const = 0;
};

namespace {

using Word = PreTokenizer::Word;

void split_into(const Word& word, const Regex& regex, Behavior behavior, bool invert,
                std::vector<Word>& out) {
  for (const auto& [range, delimiter] : apply(stretches(word.text, regex, invert), behavior)) {
    if (range.first != range.second) {
      out.push_back(
          {word.text.substr(range.first, range.second - range.first), word.first && range.first == 0});
    }
  }
}

class SplitStep : public PreTokenizer::Step {
 public:
  SplitStep(Regex regex, Behavior behavior, bool invert)
      : regex_(std::move(regex)), behavior_(behavior), invert_(invert) {}
  void split(Word word, std::vector<Word>& out) const override {
    split_into(word, regex_, behavior_, invert_, out);
  }

 private:
  Regex regex_;
  Behavior behavior_;
  bool invert_;
};

class ByteLevelStep : public PreTokenizer::Step {
 public:
  ByteLevelStep(bool add_prefix_space, bool use_regex, const std::string& where)
      : add_prefix_space_(add_prefix_space), use_regex_(use_regex), regex_(kGpt2, where) {}
  void split(Word word, std::vector<Word>& out) const override {
    if (add_prefix_space_ && word.text.front() != ' ') {
      word.text.insert(word.text.begin(), ' ');
    }
    const auto from = out.size();
    if (use_regex_) {
      split_into(word, regex_, Behavior::isolated, false, out);
    } else {
      out.push_back(std::move(word));
    }
    for (auto i = from; i < out.size(); ++i) {
      out[i].text = byte_level_spell(out[i].text);
    }
  }

 private:
  bool add_prefix_space_;
  bool use_regex_;
  Regex regex_;
};

class MetaspaceStep : public PreTokenizer::Step {
 public:
  explicit MetaspaceStep(Metaspace metaspace) : metaspace_(std::move(metaspace)) {}
  void split(Word word, std::vector<Word>& out) const override {
    for (auto& piece : metaspace_.words(word.text, word.first)) {
      out.push_back({std::move(piece), std::exchange(word.first, false)});
    }
  }

 private:
  Metaspace metaspace_;
};

// Appends the steps of one pre_tokenizer.
void read_steps(const nlohmann::json& json, const std::string& where,
                std::vector<std::shared_ptr<const PreTokenizer::Step>>& steps) {
  const auto* type = json.is_object() ? member(json, "type") : nullptr;
  if (type == nullptr || !type->is_string()) {
    throw bad_data("{}: {} has no type", where, shown(json));
  }
  const JsonObject step(json, where);
  if (*type == "Sequence") {
    const auto& list = step.list("pretokenizers");
    for (std::size_t i = 0; i < list.size(); ++i) {
      read_steps(list[i], fmt::format("{}.pretokenizers[{}]", where, i), steps);
    }
  } else if (*type == "Split") {
    steps.push_back(std::make_shared<SplitStep>(read_pattern(step), step.choice<Behavior>("behavior"),
                                                step.flag("invert")));
  } else if (*type == "Digits") {
    const auto behavior = step.flag("individual_digits") ? Behavior::isolated : Behavior::contiguous;
    steps.push_back(std::make_shared<SplitStep>(Regex(R"(\p{N})", where), behavior, false));
  } else if (*type == "Punctuation") {
    const auto behavior = step.has("behavior") ? step.choice<Behavior>("behavior") : Behavior::isolated;
    steps.push_back(
        std::make_shared<SplitStep>(Regex(fmt::format("[{}]", kPunctuation), where), behavior, false));
  } else if (*type == "ByteLevel") {  // trim_offsets concerns offsets only, which we do not compute
    steps.push_back(std::make_shared<ByteLevelStep>(step.flag("add_prefix_space", true),
                                                    step.flag("use_regex", true), where));
  } else if (*type == "Metaspace") {
    steps.push_back(std::make_shared<MetaspaceStep>(Metaspace(step)));
  } else {
    throw bad_data(
        "{}: type is {}; this version computes Sequence, Split, Digits, Punctuation, ByteLevel and Metaspace "
        "(or null)",
        where, shown(*type));
  }
}

}  // namespace

PreTokenizer PreTokenizer::from_json(const nlohmann::json* json, const std::string& where) {
  PreTokenizer pretokenizer;
  if (json != nullptr) {
    read_steps(*json, where, pretokenizer.steps_);
  }
  return pretokenizer;
}

std::vector<std::string> PreTokenizer::split(std::string_view text, bool first) const {
  std::vector<Word> words;
  if (!text.empty()) {
    words.push_back({std::string(text), first});
  }
  for (const auto& step : steps_) {
    std::vector<Word> next;
    next.reserve(words.size());
    for (auto& word : words) {
      step->split(std::move(word), next);
    }
    words = std::move(next);
  }
  std::vector<std::string> texts;
  texts.reserve(words.size());
  for (auto& word : words) {
    texts.push_back(std::move(word.text));
  }
  return texts;
}

}  // namespace shardrift
