// The answer, its tiles, the policy and one line a candidate: plain HTML, so that a mail program's preview
// shows them. page/js makes the words marked data-term explain themselves.
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <regex>

#include "analysis/report/limit_words.hpp"
#include "analysis/report/page.hpp"
#include "analysis/verdict/words.hpp"
#include "common/counted.hpp"

namespace shardrift::report {
namespace {

using verdict::Candidate;
using verdict::Verdict;

bool is_equal(const Candidate& c) {
  return c.bit_equal && c.facts.complete;
}

// Green is for the same bits in all that was asked for, and for nothing else.
std::string tone_of(const Verdict& verdict) {
  const auto& all = verdict.candidates;
  const auto any = [&](auto holds) { return std::any_of(all.begin(), all.end(), holds); };
  if (any([](const Candidate& c) { return c.facts.without_value > 0; })) return "broken";
  if (any([](const Candidate& c) { return c.facts.parted > 0; })) return "changed";
  if (all.empty() || !verdict.not_judged.empty()) return "unknown";
  if (!any([](const Candidate& c) { return !is_equal(c); })) return "same";
  return any([](const Candidate& c) { return !is_equal(c) && c.statistics.prompts_differ == 0; }) ? "unknown"
                                                                                                  : "near";
}

// Powers of ten as the rest of the page writes them: "4.24e-06" is 4.24·10⁻⁶.
std::string with_powers(const std::string& text) {
  static const std::regex kExponent(R"((\d)e([+-])0*(\d+))");
  constexpr std::array kDigits{"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string out;
  auto at = text.cbegin();
  for (std::sregex_iterator match(at, text.cend(), kExponent), end; match != end; ++match) {
    out.append(at, (*match)[1].second);
    out += "·10";
    if ((*match)[2].str() == "-") out += "⁻";
    for (const char digit : (*match)[3].str()) out += kDigits[static_cast<std::size_t>(digit - '0')];
    at = (*match)[0].second;
  }
  return out.append(at, text.cend());
}

struct Tile {
  std::string value;
  std::string label;
  std::string terms;  // keys of the page's explanations
};

// The candidate with the largest value of those that have one.
template <typename Value>
const Candidate* largest(const Verdict& verdict, Value value) {
  const Candidate* found = nullptr;
  for (const auto& c : verdict.candidates)
    if (!std::isnan(value(c)) && (found == nullptr || value(c) > value(*found))) found = &c;
  return found;
}

// ": tp4" where there are several.
std::string by_name(const Verdict& verdict, const Candidate& c) {
  return verdict.candidates.size() == 1 ? "" : ": " + c.name;
}

// Of the worst, whose name stands before.
std::string least_of(const std::vector<double>& values, verdict::Unit unit) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  if (values.size() < 2 || *low == *high) return "";
  return fmt::format("; the least of {}: {}", values.size(), verdict::amount(*low, unit));
}

// Texts that are all whole changed by no token.
std::string by_token(const verdict::ChangedAnswers& changed) {
  return changed.tokens > 0 ? fmt::format(" by token {}", changed.tokens) : "";
}

Tile changed_tile(const Verdict& verdict) {
  const auto share = [&](const Candidate& c) {
    const auto changed = verdict::changed_answers(c);
    return changed ? changed->share.value : analysis::kNoValue;
  };
  const auto rows = [](const Candidate& c) {
    const auto& s = c.statistics;
    return s.rows == 0 ? analysis::kNoValue : static_cast<double>(s.flips()) / static_cast<double>(s.rows);
  };
  const Candidate* worst = largest(verdict, share);
  std::vector<double> values;
  if (worst != nullptr) {
    for (const auto& c : verdict.candidates)
      if (!std::isnan(share(c))) values.push_back(share(c));
    const auto changed = *verdict::changed_answers(*worst);
    return {verdict::amount(changed.share.value, verdict::Unit::share),
            fmt::format("of answers differ{} ({} to {}){}{}", by_token(changed),
                        verdict::amount(changed.share.interval.low, verdict::Unit::share),
                        verdict::amount(changed.share.interval.high, verdict::Unit::share),
                        changed.share.value > 0 ? by_name(verdict, *worst) : "",
                        least_of(values, verdict::Unit::share)),
            "changed interval"};
  }
  worst = largest(verdict, rows);
  if (worst == nullptr) return {"–", "of answers: nothing was compared", "changed"};
  for (const auto& c : verdict.candidates)
    if (!std::isnan(rows(c))) values.push_back(rows(c));
  return {
      verdict::amount(rows(*worst), verdict::Unit::share),
      fmt::format("of rows have another most likely token{}{}",
                  rows(*worst) > 0 ? by_name(verdict, *worst) : "", least_of(values, verdict::Unit::share)),
      "flip"};
}

Tile equal_tile(const Verdict& verdict) {
  if (verdict.candidates.size() == 1) {
    const auto& one = verdict.candidates.front();
    const auto& s = one.statistics;
    if (one.facts.other_dtypes)
      return {fmt::format("{} of {}", one.facts.same_numbers, s.prompts + one.facts.not_compared()),
              "prompts have the reference's numbers, in another dtype", "same_numbers"};
    return {fmt::format("{} of {}", s.prompts_bit_equal, s.prompts + one.facts.not_compared()),
            "prompts have the reference's bits", "bit_equal"};
  }
  std::vector<std::string> names;
  for (const auto& c : verdict.candidates)
    if (is_equal(c)) names.push_back(c.name);
  return {fmt::format("{} of {}", names.size(), verdict.candidates.size()),
          fmt::format("candidates have the reference's bits in every prompt{}{}", names.empty() ? "" : ": ",
                      verdict::listed(names)),
          "bit_equal"};
}

std::vector<Tile> tiles_of(const Verdict& verdict) {
  std::vector<Tile> tiles{changed_tile(verdict), equal_tile(verdict)};
  if (!verdict.not_judged.empty()) {
    std::vector<std::string> names;
    for (const auto& one : verdict.not_judged) names.push_back(one.name);
    tiles.insert(tiles.begin() + 1,
                 {std::to_string(names.size()),
                  fmt::format("asked for and not judged: {}", verdict::listed(names)), "not_judged"});
  }
  const Candidate* first = nullptr;
  for (const auto& c : verdict.candidates)
    if (c.facts.earliest && (first == nullptr || *c.facts.earliest < *first->facts.earliest)) first = &c;
  if (first != nullptr)
    tiles.push_back(
        {fmt::format("{} {}", first->facts.generates ? "token" : "row", *first->facts.earliest),
         fmt::format("is the earliest that differs ({}, {})", first->name, first->facts.earliest_prompt),
         "first"});
  const auto* parted = largest(verdict, [](const Candidate& c) {
    return c.facts.parted_measured > 0 ? static_cast<double>(c.facts.parted) : analysis::kNoValue;
  });
  if (parted != nullptr)
    tiles.push_back({fmt::format("{} of {}", parted->facts.parted_at_ties, parted->facts.parted_measured),
                     fmt::format("first differences stand at exact ties{}", by_name(verdict, *parted)),
                     "tie"});
  const auto kl = [](const Candidate& c) {
    const auto* metric = c.statistics.of("kl");
    return metric == nullptr ? analysis::kNoValue : metric->average.value;
  };
  const auto* far = largest(verdict, kl);
  const bool several = verdict.candidates.size() > 1;
  const auto* broken = largest(verdict, [](const Candidate& c) {
    return c.facts.without_value > 0 ? static_cast<double>(c.facts.without_value) : analysis::kNoValue;
  });
  if (broken != nullptr)
    tiles.push_back({"NaN",
                     fmt::format("or infinite logits in {} of {}",
                                 counted(broken->facts.without_value, "row"), broken->name),
                     "nan"});
  else if (far != nullptr)
    tiles.push_back({verdict::amount(kl(*far), verdict::Unit::none),
                     fmt::format("nats: {}mean KL divergence{}", several ? "the largest " : "",
                                 kl(*far) > 0 ? by_name(verdict, *far) : ""),
                     "kl"});
  return tiles;
}

std::string tiles_html(const Verdict& verdict) {
  std::string html = "<div class=\"tiles\">\n";
  for (const auto& tile : tiles_of(verdict))
    html += fmt::format("<div class=\"tile\"><b>{}</b> <span data-terms=\"{}\">{}</span></div>\n",
                        html_escaped(with_powers(tile.value)), tile.terms, html_escaped(tile.label));
  return html + "</div>\n";
}

std::string state_html(const Candidate& c) {
  return fmt::format(" <span class=\"tag {0}\" data-terms=\"policy\">policy: {0}</span>", name_of(c.state));
}

// What the numbers of a candidate's line are.
std::string terms_of(const Candidate& c) {
  if (is_equal(c)) return "bit_equal power";
  if (c.same_numbers) return "same_numbers power";
  std::string terms = c.facts.parted > 0 ? "changed interval tie median" : "bit_equal";
  if (!c.distance.empty()) terms += " delta_p kl";
  if (!c.yardsticks.empty()) terms += " yardstick";
  if (c.excess_error) terms += " truth";
  if (c.facts.without_value > 0) terms += " nan";
  if (c.facts.arrangement.predicted) terms += " predicted";
  return terms;
}

std::string lines_html(const Verdict& verdict) {
  std::string html = "<ul class=\"candidates\">\n";
  for (const auto& ranked : verdict.ranking) {
    const auto& c = verdict.candidates[ranked.candidate];
    html += fmt::format(
        "<li class=\"{}\"><strong>{}</strong> <span class=\"plan\">{}</span>{} <span class=\"outcome\" "
        "data-terms=\"{}\">{}{}{}</span></li>\n",
        is_equal(c) ? "equal" : "other", html_escaped(c.name), html_escaped(c.plan), state_html(c),
        terms_of(c), html_escaped(c.outcome), c.distance.empty() ? "" : "; ",
        html_escaped(with_powers(c.distance)));
  }
  for (const auto& one : verdict.not_judged)
    html += fmt::format(
        "<li class=\"absent\"><strong>{}</strong> <span class=\"plan\">{}</span> <span class=\"tag absent\" "
        "data-terms=\"not_judged\">not judged</span> <span class=\"outcome\">{}</span></li>\n",
        html_escaped(one.name), html_escaped(one.plan), html_escaped(one.why));
  return html + "</ul>\n";
}

std::string sentence(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

}  // namespace

std::string answer_html(const Report& report) {
  if (!report.verdict) return "";
  const auto& verdict = *report.verdict;
  // "No.", "Yes, to the bit,": what can be read from afar.
  const auto word = std::min(verdict.answer.find_first_of(".,:") + 1, verdict.answer.size());
  return fmt::format(
      "<section id=\"answer\" class=\"answer {}\" aria-label=\"Answer\">\n"
      "<p class=\"headline\"><span class=\"badge\" "
      "aria-hidden=\"true\"></span><span><strong>{}</strong>{}</span></p>\n{}"
      "<p class=\"policy\" data-terms=\"policy\">{}</p>\n"
      "<p class=\"recommendation\"><strong>Recommendation:</strong> {}.</p>\n{}"
      "<p class=\"small\" data-terms=\"interval noise power\">{} {}.</p>\n</section>\n",
      tone_of(verdict), html_escaped(verdict.answer.substr(0, word)),
      html_escaped(verdict.answer.substr(word)), tiles_html(verdict),
      in_words_html(html_escaped(verdict.headline)), in_words_html(html_escaped(verdict.recommendation)),
      lines_html(verdict), html_escaped(verdict::noise_of(verdict)), html_escaped(sentence(verdict.power)));
}

}  // namespace shardrift::report
