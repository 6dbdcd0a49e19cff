// The page: nothing from a file can become HTML or a script.
#include "analysis/report/page.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <array>
#include <regex>

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
  report.verdict->headline = report.verdict->paragraph = report.verdict->recommendation = kHostile;
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
  report.verdict->headline = "stay on one GPU & wait";
  report.verdict->recommendation = "use pp2";
  report.verdict->paragraph = "It differs. Recommendation: use pp2.";
  report.verdict->state = verdict::State::fail;
  const std::string html = to_html(report);
  EXPECT_NE(html.find("Fail: stay on one GPU &amp; wait"), std::string::npos);
  EXPECT_NE(html.find("class=\"answer fail\""), std::string::npos);
  EXPECT_NE(html.find(">It differs.</p>"), std::string::npos) << "the recommendation stands there twice";
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
