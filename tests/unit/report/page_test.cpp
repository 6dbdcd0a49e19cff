// The page: nothing from a file can become HTML or a script.
#include "analysis/report/page.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <array>
#include <regex>

#include "analysis/report/limit_words.hpp"
#include "analysis/report/model_name.hpp"
#include "analysis/report/payload.hpp"
#include "tests/support/synthetic_measurement.hpp"

namespace shardrift::report {
namespace {

const std::string kHostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&<!--{{data}}";

Report hostile_report() {
  Report report;
  Run run;
  run.measurement = testing::synthetic_measurement({kHostile, 4, 0.3});
  run.measurement.candidate.path = kHostile;
  run.measurement.candidate.plan = kHostile;
  run.measurement.reference.name = kHostile;
  run.measurement.reference.run.command = kHostile;
  run.measurement.differences.push_back({kHostile, kHostile, kHostile});
  for (auto& prompt : run.measurement.prompts) prompt.id += kHostile;
  run.measurement.candidate.run.environment.collectives[0].trees[0] = kHostile;
  run.statistics = statistics::statistics_of(run.measurement, {});
  report.runs.push_back(run);
  report.title = kHostile;
  report.command = kHostile;
  report.notes = {kHostile};
  report.verdict = verdict::Verdict{};
  report.verdict->headline = report.verdict->answer = report.verdict->recommendation = kHostile;
  report.verdict->power = kHostile;
  report.verdict->not_judged = {{kHostile, kHostile, kHostile}};
  report.verdict->thresholds.source = kHostile;
  analysis::TokenTable table;
  table.prompt = run.measurement.prompts[0].id;
  table.rows.push_back(
      {0, 8, analysis::TokenCell{7, kHostile, 0.5}, analysis::TokenCell{8, "\xFF\xC0</script", {}}, true});
  report.tokens.push_back({0, table});
  return report;
}

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

TEST(Page, HostileStringsStayText) {
  const std::string html = to_html(hostile_report());
  // The data, D3, and the page's own script; each ends once. Nothing else opens or ends a script.
  EXPECT_EQ(count(html, "<script"), 3U);
  EXPECT_EQ(count(html, "</script"), 3U);
  EXPECT_EQ(count(html, "<img"), 0U);
  EXPECT_EQ(count(html, "<!--"), 0U);
  EXPECT_EQ(html.find("{{"), html.find("{{data}}")) << "a placeholder was left, or data was taken for one";
}

TEST(Page, HostileStringsArriveWhole) {
  const std::string html = to_html(hostile_report());
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const auto begin = html.find(open) + open.size();
  const Json data = Json::parse(html.substr(begin, html.find("</script>", begin) - begin));
  EXPECT_EQ(data["title"], kHostile);
  EXPECT_EQ(data["runs"][0]["path"], kHostile);
  EXPECT_EQ(data["notes"][0], kHostile);
  EXPECT_EQ(data["orders"]["trees"][0], kHostile);
}

TEST(Page, OnlyItsOwnScriptsMayRun) {
  const std::string html = to_html(hostile_report());
  const auto hash_of = [](const std::string& script) {
    std::array<unsigned char, 32> digest{};
    EVP_Digest(script.data(), script.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
    std::array<unsigned char, 64> text{};
    return std::string(text.begin(), text.begin() + EVP_EncodeBlock(text.data(), digest.data(), 32));
  };
  std::size_t at = 0;
  for (int script = 0; script < 2; ++script) {
    const auto begin = html.find("<script>", at) + 8;
    at = html.find("</script>", begin);
    EXPECT_NE(html.find("'sha256-" + hash_of(html.substr(begin, at - begin)) + "'"), std::string::npos);
  }
  EXPECT_NE(html.find("default-src 'none'; script-src 'sha256-"), std::string::npos);
  EXPECT_EQ(count(html, "unsafe-eval"), 0U);
}

TEST(Page, RequestsNothingAndKeepsTheLicence) {
  const std::string html = to_html(hostile_report());
  EXPECT_EQ(count(html, "src=\"http"), 0U);
  EXPECT_EQ(count(html, "href=\"http"), 0U);
  EXPECT_EQ(count(html, "@import"), 0U);
  EXPECT_GE(count(html, "Mike Bostock"), 2U);  // D3's first line, and the licence
  EXPECT_NE(html.find("Redistributions in binary form must reproduce"), std::string::npos);
}

TEST(Page, TheAnswerIsThereWithoutScripts) {
  Report report = hostile_report();
  report.verdict->answer = "No. It differs & more.";
  report.verdict->headline = "Policy: preset serving: tp2 breaks the limit on kl_mean.";
  report.verdict->recommendation = "use pp2";
  report.verdict->not_judged = {{"tp3", "TP=3", "interrupted"}};
  const std::string html = to_html(report);
  const auto at = [&](const char* text) { return html.find(text); };
  EXPECT_LT(at("<strong>No.</strong> It differs &amp; more."), at("Policy: preset serving"));
  EXPECT_LT(at("Policy: preset serving"), at("use pp2"));
  EXPECT_NE(at("class=\"answer unknown\""), std::string::npos);
  EXPECT_NE(at("asked for and not judged: tp3"), std::string::npos);
  EXPECT_NE(at("<li class=\"absent\"><strong>tp3</strong>"), std::string::npos);
  EXPECT_EQ(count(html, "class=\"tile\""), 3U);
  EXPECT_NE(at("tp2 breaks the limit on <span class=\"key\" title=\"kl_mean\">mean KL</span>.</p>"),
            std::string::npos);
}

TEST(Page, KeysOfLimitsAreWords) {
  EXPECT_EQ(in_words("limits flips, clear_flips and delta_p_mean: tp2 breaks the limit on kl_mean."),
            "limits flips, clear flips and the mean change of probability: tp2 breaks the limit on mean KL.");
  EXPECT_EQ(in_words("kl_mean"), "mean KL");
  for (const auto* name :
       {"kl_mean.h5", "tp2-kl_mean", "runs/kl_mean", "my_kl_mean_2", "", ". ", "yardstick"})
    EXPECT_EQ(in_words(name), name) << "no key";
  for (const auto& kind : verdict::limit_kinds())
    EXPECT_EQ(std::string_view(kind.words).find('_'), std::string_view::npos) << kind.name;
}

Report judged(std::vector<analysis::Measurement> candidates,
              std::vector<verdict::NotJudged> not_judged = {}) {
  verdict::Evidence evidence;
  evidence.candidates = std::move(candidates);
  evidence.not_judged = std::move(not_judged);
  auto thresholds = verdict::preset("serving");
  thresholds.bootstrap.resamples = 100;
  Report report;
  report.verdict = verdict::judge(evidence, thresholds);
  return report;
}

TEST(Page, GreenIsForTheSameBitsOnly) {
  const auto equal = testing::synthetic_measurement({"pp2", 1, 0, 40});
  auto same_text = testing::synthetic_measurement({"tp2", 2, 1e-6, 40});
  for (auto& prompt : same_text.prompts) {  // ties turn at any noise
    prompt.first_flip.reset();
    for (auto& step : prompt.steps) step.chosen_candidate = step.chosen_reference;
  }
  const auto changed = testing::synthetic_measurement({"tp4", 4, 0.3, 40});
  const auto tone = [](const Report& report) {
    const auto html = answer_html(report);
    const auto begin = html.find("class=\"answer ") + 14;
    return html.substr(begin, html.find('"', begin) - begin);
  };
  EXPECT_EQ(tone(judged({equal})), "same");
  EXPECT_EQ(tone(judged({equal, equal})), "same");
  EXPECT_EQ(tone(judged({same_text})), "near");
  EXPECT_EQ(tone(judged({equal, changed})), "changed");
  EXPECT_EQ(tone(judged({equal}, {{"tp3", "TP=3", "interrupted"}})), "unknown");
  auto partial = equal;
  partial.candidate.complete = false;
  EXPECT_EQ(tone(judged({partial})), "unknown");
  auto broken = same_text;
  broken.prompts[3].steps[3].kl = analysis::kNoValue;
  EXPECT_EQ(tone(judged({broken})), "broken");
}

// Never an average over configurations of different kinds.
TEST(Page, TilesNameTheWorstAndTheRange) {
  const auto html = answer_html(judged({testing::synthetic_measurement({"pp2", 1, 0, 40}),
                                        testing::synthetic_measurement({"tp2", 2, 0.05, 40}),
                                        testing::synthetic_measurement({"tp4", 4, 0.5, 40})}));
  EXPECT_NE(html.find("%): tp4; the least of 3: 0%"), std::string::npos) << html;
  EXPECT_NE(html.find("<b>1 of 3</b>"), std::string::npos);
  EXPECT_NE(html.find("in every prompt: pp2"), std::string::npos);
  EXPECT_NE(html.find("nats: the largest mean KL divergence: tp4"), std::string::npos);
}

// By the token that was compared, not by the one a policy asks about (256).
TEST(Page, TheFirstTileIsByTheLongestTextCompared) {
  const auto report = judged({testing::synthetic_measurement({"tp4", 4, 0.5, 40})});
  const auto longest = report.verdict->candidates[0].statistics.survival.longest;
  ASSERT_LT(longest, 256);
  EXPECT_NE(answer_html(report).find("of answers differ by token " + std::to_string(longest) + " ("),
            std::string::npos);
}

TEST(Page, IntervalsAreOfTheVerdictsConfidence) {
  Report report = hostile_report();
  EXPECT_EQ(payload_of(report)["confidence"], 0.95);
  report.verdict->thresholds.bootstrap.confidence = 0.99;
  EXPECT_EQ(payload_of(report)["confidence"], 0.99);
}

TEST(ModelName, IsFolderAndSize) {
  EXPECT_EQ(model_folder("shardrift-run run --model models/smollm2-135m --output a.h5"), "smollm2-135m");
  EXPECT_EQ(model_folder("shardrift-run run --model='/a b/my model/' --output a.h5"), "my model");
  EXPECT_EQ(model_folder(
                "shardrift-run run --model "
                "/c/models--HuggingFaceTB--SmolLM2-135M/snapshots/93efa2f097d58c2a74874c7e644dbc9b0cee75a2"),
            "SmolLM2-135M");
  EXPECT_EQ(model_folder("h5py"), "");
  EXPECT_EQ(model_size("{}"), "");
  EXPECT_EQ(
      model_size(R"({"architectures":["LlamaForCausalLM"],"hidden_size":576,"intermediate_size":1536,)"
                 R"("num_hidden_layers":30,"num_attention_heads":9,"num_key_value_heads":3,)"
                 R"("vocab_size":49152,"tie_word_embeddings":true,"max_position_embeddings":8192,)"
                 R"("rms_norm_eps":1e-5,"rope_theta":100000,"hidden_act":"silu","torch_dtype":"bfloat16"})"),
      "135M");
}

TEST(Escaping, Html) {
  EXPECT_EQ(html_escaped("<a href='x'>\"&"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;");
}

TEST(Escaping, ScriptDataParsesToTheSame) {
  const Json json = {{"a", kHostile}};
  EXPECT_EQ(script_escaped(json.dump()).find('<'), std::string::npos);
  EXPECT_EQ(Json::parse(script_escaped(json.dump())), json);
}

}  // namespace
}  // namespace shardrift::report
