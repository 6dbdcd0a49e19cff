// A plan's table of fields: no field of it can be forgotten, in its JSON or anywhere else that walks the
// table.
#include "parallel/plan/plan_fields.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "common/error.hpp"
#include "common/field_json.hpp"
#include "parallel/plan/plan_json.hpp"
#include "tests/support/changed_field.hpp"

namespace shardrift {

inline void change(Reduction& reduction) {
  reduction.order = ReductionOrder::tree_index;
  reduction.tree = 7;
}

namespace {

using ::testing::HasSubstr;

// A plan's members and a reduction's are counted when plan_fields.hpp is compiled; here every row is shown to
// reach one of its own.
TEST(PlanFields, EachChangedAloneIsAnotherPlanWithAnotherJsonThatReadsBack) {
  const Plan usual;
  std::set<std::string> seen{plan_to_json(usual)};
  for_each_field(usual, [&](const auto& changed, const auto&) {
    Plan plan = usual;
    for_each_field(plan, [&](const auto& row, auto& field) {
      if (row.key == changed.key) change(field);
    });
    EXPECT_NE(plan, usual) << changed.key;
    EXPECT_TRUE(seen.insert(plan_to_json(plan)).second) << changed.key << ": " << plan_to_json(plan);
    EXPECT_EQ(plan_from_json(plan_to_json(plan)), plan) << changed.key;
  });
  EXPECT_EQ(seen.size(), field_count<Plan>() + 1);
}

// As a run of 0.1.0 recorded it (scripts/demo): resume keys and studies' records hash and compare these
// bytes.
TEST(PlanFields, AnOldRecordsPlanHasTheSameBytes) {
  const std::string recorded =
      R"({"accumulate":"message","batch":1,"device":"cpu","dtype":"float32","logits_dtype":"float32",)"
      R"("partial":"model","pipeline":2,"reduction":"native","replicas":1,"row_linear":"reduce","shards":2,)"
      R"("stage_layers":[15,15],"tensor_parallel":2})";
  EXPECT_EQ(plan_to_json(plan_from_json(recorded)), recorded);
  Plan plan;
  plan.shards = plan.tensor_parallel = plan.pipeline = 2;
  EXPECT_EQ(plan_to_json(validated(plan, 30, 4)), recorded);
}

TEST(PlanFields, JsonThatIsNoPlanNamesTheKey) {
  const auto refusal = [](const std::string& key, const nlohmann::json& value) -> std::string {
    auto object = nlohmann::json::parse(plan_to_json({}));
    if (value.is_discarded())
      object.erase(key);
    else
      object[key] = value;
    try {
      plan_from_json(object.dump());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_data);
      return error.what();
    }
    return "";
  };
  const auto absent = nlohmann::json::parse("", nullptr, false);
  const Plan usual;
  for_each_field(usual, [&](const auto& row, const auto&) {
    const std::string key(row.key);
    const bool read = row.since == Since::later;  // older records lack it
    EXPECT_EQ(refusal(key, absent).empty(), read) << key;
    EXPECT_THAT(refusal(key, absent), HasSubstr(read ? "" : key));
  });
  EXPECT_THAT(refusal("row_linear", "sequence"), HasSubstr("unknown row_linear 'sequence'"));
  EXPECT_THAT(refusal("batch", "many"), HasSubstr("number"));
  EXPECT_EQ(refusal("of a later version", 1), "");  // ignored
}

struct Box {
  int width = 1;
  std::string name;
  int depth = 2;
};
template <typename Access>
struct BoxField {
  std::string_view key;
  Access access;
  Since since = Since::first;
};
template <typename Access, typename... More>
BoxField(std::string_view, Access, More...) -> BoxField<Access>;
constexpr auto fields_of(std::type_identity<Box>) {
  return std::tuple{BoxField{"width", &Box::width}, BoxField{"name", &Box::name},
                    BoxField{"depth", &Box::depth, Since::later}};
}

TEST(FieldTable, CountsMembersAndReadsOlderFiles) {
  static_assert(member_count<Box>() == 3);
  static_assert(member_count<Reduction>() == 6);
  Box box;
  read_fields(nlohmann::json::parse(R"({"width": 7, "name": "old"})"), box);
  EXPECT_EQ(box.width, 7);
  EXPECT_EQ(box.name, "old");
  EXPECT_EQ(box.depth, 2);  // what it was before there was such a field
  EXPECT_THROW(read_fields(nlohmann::json::parse(R"({"name": "no width"})"), box), nlohmann::json::exception);
  EXPECT_EQ(fields_to_json(box).dump(), R"({"depth":2,"name":"old","width":7})");
  const auto telling = [](const Box& one) {
    std::string keys;
    for_each_field(one, [&](const auto& row, const auto&) {
      if (says_something(row, one)) keys += std::string(row.key) + " ";
    });
    return keys;
  };
  EXPECT_EQ(telling(box), "width name ");  // as the older file
  box.depth = 3;
  EXPECT_EQ(telling(box), "width name depth ");
}

}  // namespace
}  // namespace shardrift
