// The CSV has the columns that are documented, and the numbers of the JSON.
#include "analysis/explain/explain_presenters.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "analysis/explain/explain_runs.hpp"
#include "tests/unit/explain/ladder_files.hpp"

namespace shardrift::analysis {
namespace {

using Json = nlohmann::json;
using record::Operation;
using record::testing::write_record;
using testing::change_sum;
using testing::explanation_of;
using testing::kHops;
using testing::kReal;
using testing::score_run;
using testing::scored_prompt;
using testing::set_hidden;

// The cells of one line; quotes are taken off.
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"')
      cells.back() += line[i++];
    else if (line[i] == '"')
      quoted = !quoted;
    else if (line[i] == ',' && !quoted)
      cells.emplace_back();
    else
      cells.back() += line[i];
  }
  return cells;
}

using Line = std::map<std::string, std::string>;  // its cells that are not empty, by column

struct Table {
  std::string head;
  std::vector<Line> lines;
  std::vector<Line> of(const std::string& table) const {
    std::vector<Line> found;
    for (const auto& line : lines)
      if (line.at("table") == table) found.push_back(line);
    return found;
  }
};

template <typename Value>
Table table_of(const Value& value) {
  std::stringstream csv;
  write_csv(csv, value);
  Table table;
  std::getline(csv, table.head);
  const auto columns = cells_of(table.head);
  for (std::string text; std::getline(csv, text);) {
    const auto cells = cells_of(text);
    EXPECT_EQ(cells.size(), columns.size()) << text;
    Line line;
    for (std::size_t i = 0; i < cells.size() && i < columns.size(); ++i)
      if (!cells[i].empty()) line[columns[i]] = cells[i];
    table.lines.push_back(std::move(line));
  }
  return table;
}

// What a line must hold, from an object of the JSON: objects in it become columns KEY_…, null is an empty
// cell.
void flatten(const Json& object, const std::string& prefix, Line& line) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) {
      const bool first = key == "first" || key == "first_difference";
      flatten(value, first ? "first_" : key == "run" ? "" : key + "_", line);
    } else if (value.is_number()) {
      line[prefix + key] = value.is_number_integer() ? value.dump() : fmt::format("{}", value.get<double>());
    } else if (value.is_boolean()) {
      line[prefix + key] = value.get<bool>() ? "1" : "0";
    } else if (value.is_string()) {
      line[prefix + key] = value.get<std::string>();
    }
  }
}

Line flat(const std::string& table, const Json& object) {
  Line line{{"table", table}};
  flatten(object, "", line);
  return line;
}

class ExplainCsv : public testing::LadderFiles {};

TEST_F(ExplainCsv, APairHasTheNumbersOfTheJson) {
  const testing::Rows three{{1, 0, 0, 0, 0}, {0, 1, 0, 0, 0}, {0, 0, 1, 0, 0}};
  testing::Rows five = three;
  five.insert(five.end(), {{0, 0, 0, 1, 0}, {0, 0, 0, 0, 1}});
  const auto p0 = scored_prompt(score_run(), "p0", 0, three);
  auto p1 = scored_prompt(score_run(), "p1", 1, five);
  write_record(scratch_ / "a.h5", score_run(), {p0, p1});
  five[1][1] = 3.1;
  five[4][0] = 4;
  p1 = scored_prompt(score_run(), "p1", 1, five);
  change_sum(p1, {Operation::gate_up, 1}, 2);
  set_hidden(p1, 2, 0, 1, 7.0F);
  auto other = p0;
  change_sum(other, {Operation::qkv, 0}, 1);
  write_record(scratch_ / "b.h5", score_run(), {other, p1});
  const auto explanation = explanation_of(scratch_ / "a.h5", scratch_ / "b.h5");
  const auto json = Json::parse(explanation_json(explanation));
  const auto table = table_of(explanation);
  EXPECT_EQ(table.head,
            "table,operation,layer,position,begin,end,tokens,shorter,longer,prompts,rows,rows_differ,"
            "first_here,rows_bit_equal,elements,elements_differ,rms_reference,rms_difference,relative,"
            "row_median,row_low,row_high,rms,max_abs,kl_mean,flips,first_operation,first_layer,"
            "first_prompt,first_step,first_position");
  std::size_t lines = 1;
  for (const char* name : {"operations", "layers", "positions", "position_ranges", "prompt_lengths",
                           "reference_lengths", "candidate_lengths"}) {
    const auto found = table.of(name);
    ASSERT_EQ(found.size(), json.at(name).size()) << name;
    EXPECT_FALSE(found.empty()) << name;
    for (std::size_t i = 0; i < found.size(); ++i)
      EXPECT_EQ(found[i], flat(name, json.at(name)[i])) << name << " " << i;
    lines += found.size();
  }
  EXPECT_EQ(table.lines.size(), lines);
  Line first;
  flatten(json.at("first_difference"), "first_", first);
  first["table"] = "first_difference";
  EXPECT_EQ(table.lines.front(), first);
  EXPECT_EQ(first.at("first_prompt"), "p0");
  EXPECT_EQ(table.of("layers")[0].count("layer"), 0U);  // the embedding
  EXPECT_EQ(table.of("layers")[2].at("layer"), "1");
}

TEST_F(ExplainCsv, ALadderHasALineARung) {
  write("one", "", {{1, 0, 0, 0, 0}, {0, 1, 0, 0, 0}});
  write("hops", kHops, {{3, 0, 0, 0, 0}, {0, 1, 0, 0.1, 0}});
  auto real = scored_prompt(score_run(), "p0", 0, {{3, 0, 0, 0, 0}, {0, 1, 0, 2, 0}});
  change_sum(real, {Operation::mlp_sum, 1}, 1);
  write_record(scratch_ / "real.h5", score_run(kReal), {real});
  auto mine = file("one");
  mine.name = "mine, once";
  const auto ladder = measure_ladder({mine, file("hops"), file("real")});
  const auto json = Json::parse(ladder_json(ladder));
  const auto table = table_of(ladder);
  EXPECT_EQ(table.head,
            "table,name,kind,path,plan,shards,complete,prompts,rows,elements,step_rows_differ,"
            "step_elements_differ,step_bits,step_rms,step_kl_mean,step_flips,total_rows_differ,"
            "total_elements_differ,total_bits,total_rms,total_kl_mean,total_flips,share,"
            "first_operation,first_layer,first_prompt,first_step,first_position");
  ASSERT_EQ(table.lines.size(), 3U);
  for (std::size_t i = 0; i < table.lines.size(); ++i) {
    Line wanted = flat("rungs", json.at("rungs")[i]);
    for (const char* key : {"prompts", "rows", "elements"}) wanted[key] = json.at(key).dump();
    EXPECT_EQ(table.lines[i], wanted) << i;
  }
  EXPECT_EQ(table.lines[2].at("first_operation"), "mlp_sum");
  EXPECT_EQ(table.lines[0].count("step_rms"), 0U);
}

// What was not recorded has no lines; the head is the same.
TEST_F(ExplainCsv, WithoutTraces) {
  auto bare = scored_prompt(score_run(), "p0", 0, {{1, 0, 0, 0, 0}});
  bare.checksums = {};
  bare.hidden = {};
  write_record(scratch_ / "a.h5", score_run(), {bare});
  const auto table = table_of(explanation_of(scratch_ / "a.h5", scratch_ / "a.h5"));
  EXPECT_EQ(table.head.substr(0, 22), "table,operation,layer,");
  EXPECT_EQ(table.lines.size(), 3U);
  EXPECT_EQ(
      table.of("positions").size() + table.of("position_ranges").size() + table.of("prompt_lengths").size(),
      3U);
}

}  // namespace
}  // namespace shardrift::analysis
