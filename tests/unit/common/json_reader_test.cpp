#include "common/json_reader.hpp"

#include <gmock/gmock.h>

#include "common/dtype.hpp"
#include "common/json_file.hpp"

namespace shardrift {
namespace {

using testing::ElementsAre;

// Each test reads one object; what it is refused with is compared whole: these texts are for users.
class JsonReader : public testing::Test {
 protected:
  template <typename Read>
  std::string refusal(const std::string& text, Read&& read) {
    const auto json = parse_json_object(text, "f.json");
    try {
      read(JsonObject(json, "f.json"));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_data);
      return error.what();
    }
    return "accepted";
  }
};

TEST_F(JsonReader, ValuesAndDefaults) {
  const auto json = parse_json_object(
      R"({"t": "x", "i": -3, "s": 7, "n": 2, "p": 0.5, "f": true, "none": null, "o": {"a": 1},
          "l": [1, 2], "os": [{"a": 1}, {"a": 2}], "ts": ["a", "b"], "d": "float16"})",
      "f.json");
  const JsonObject object(json, "f.json");
  EXPECT_EQ(object.text("t"), "x");
  EXPECT_EQ(object.text("none", "y"), "y");
  EXPECT_EQ(object.text("absent", "y"), "y");
  EXPECT_EQ(object.integer("i", -3, 3), -3);
  EXPECT_EQ(object.integer("none", 0, 1, 9), 9);  // a default is not checked: 0 may stand for "none"
  EXPECT_EQ(object.size("s"), 7);
  EXPECT_EQ(object.number("n"), 2.0);
  EXPECT_EQ(object.positive("p"), 0.5);
  EXPECT_TRUE(object.flag("f"));
  EXPECT_FALSE(object.flag("absent"));
  EXPECT_TRUE(object.flag("none", true));
  EXPECT_EQ(object.object("o")->integer("a", 0, 9), 1);
  EXPECT_EQ(object.object("o")->where(), "f.json: o");
  EXPECT_EQ(object.object("none"), std::nullopt);
  EXPECT_EQ(object.list("l").size(), 2U);
  EXPECT_EQ(object.objects("os")[1].integer("a", 0, 9), 2);
  EXPECT_EQ(object.objects("os")[1].where(), "f.json: os[1]");
  EXPECT_THAT(object.texts("ts"), ElementsAre("a", "b"));
  EXPECT_EQ(object.choice<DType>("d"), DType::float16);
  EXPECT_EQ(object.nullable("none"), nullptr);
  EXPECT_TRUE(object.has("none"));
  EXPECT_FALSE(object.has("absent"));
  object.done();
}

TEST_F(JsonReader, WhatIsWrongIsNamed) {
  const struct {
    const char* text;
    void (*read)(const JsonObject&);
    const char* message;
  } cases[] = {
      {"{}", [](const auto& o) { o.text("k"); }, "f.json: k is missing"},
      {"{}", [](const auto& o) { o.nullable("k"); }, "f.json: k is missing"},
      {R"({"k": null})", [](const auto& o) { o.integer("k", 0, 1); }, "f.json: k is missing"},
      {R"({"k": 3})", [](const auto& o) { o.text("k", "x"); }, "f.json: k is 3; a string is expected"},
      {R"({"k": 1})", [](const auto& o) { o.flag("k"); }, "f.json: k is 1; true or false is expected"},
      {R"({"k": 2})", [](const auto& o) { o.integer("k", 0, 1); },
       "f.json: k is 2; an integer from 0 to 1 is expected"},
      {R"({"k": 1.0})", [](const auto& o) { o.integer("k", 0, 1); },
       "f.json: k is 1.0; an integer from 0 to 1 is expected"},
      {R"({"k": 18446744073709551615})", [](const auto& o) { o.integer("k", -1, 1); },
       "f.json: k is 18446744073709551615; an integer from -1 to 1 is expected"},
      {R"({"k": 0})", [](const auto& o) { o.size("k"); },
       "f.json: k is 0; an integer from 1 to 268435456 is expected"},
      {R"({"k": 0})", [](const auto& o) { o.positive("k"); },
       "f.json: k is 0; a positive number is expected"},
      {R"({"k": "0"})", [](const auto& o) { o.number("k"); }, "f.json: k is \"0\"; a number is expected"},
      {R"({"k": 3})", [](const auto& o) { o.object("k"); }, "f.json: k is 3; an object or null is expected"},
      {R"({"k": 3})", [](const auto& o) { o.required_object("k"); }, "f.json: k is 3; an object is expected"},
      {R"({"k": 3})", [](const auto& o) { o.list("k"); }, "f.json: k is 3; a list is expected"},
      {R"({"k": []})", [](const auto& o) { o.list("k", 1, 2); },
       "f.json: k is []; a list of 1 to 2 elements is expected"},
      {R"({"k": [{}, 3]})", [](const auto& o) { o.objects("k"); }, "f.json: k[1]: 3 is no object"},
      {R"({"k": ["a", 3]})", [](const auto& o) { o.texts("k"); },
       R"(f.json: k is ["a",3]; a list of strings is expected)"},
      {R"({"k": "int8"})", [](const JsonObject& o) { o.choice<DType>("k"); },
       "f.json: k is \"int8\"; float64, float32, tf32, float16 or bfloat16 is expected"},
      {R"({"k": 1, "l": 2})", [](const auto& o) { o.integer("k", 0, 1), o.done(); },
       "f.json: unknown key \"l\""},
  };
  for (const auto& one : cases) EXPECT_EQ(refusal(one.text, one.read), one.message) << one.text;
}

}  // namespace
}  // namespace shardrift
