#include "common/named_enum.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/dtype.hpp"
#include "common/error.hpp"

namespace elsewhere {

enum class Fruit { apple, blood_orange, pear };
constexpr auto names_of(Fruit) {
  return std::to_array<shardrift::Named<Fruit>>(
      {{Fruit::apple, "apple"}, {Fruit::blood_orange, "blood-orange"}, {Fruit::pear, "pear"}});
}

enum class Forgotten { first, second };
constexpr auto names_of(Forgotten) {
  return std::to_array<shardrift::Named<Forgotten>>({{Forgotten::first, "first"}});
}

enum class Swapped { first, second };
constexpr auto names_of(Swapped) {
  return std::to_array<shardrift::Named<Swapped>>({{Swapped::second, "second"}, {Swapped::first, "first"}});
}

}  // namespace elsewhere

namespace shardrift {
namespace {

using elsewhere::Forgotten;
using elsewhere::Fruit;
using elsewhere::Swapped;

TEST(NamedEnum, ATableMissingAValueIsSeenWhenItIsCompiled) {
  static_assert(named_enum::is_complete<Fruit>());
  static_assert(named_enum::is_complete<DType>());
  static_assert(!named_enum::is_complete<Forgotten>());
  static_assert(!named_enum::is_complete<Swapped>());
}

TEST(NamedEnum, NamesBothWays) {
  for (const auto fruit : {Fruit::apple, Fruit::blood_orange, Fruit::pear})
    EXPECT_EQ(from_name<Fruit>(name_of(fruit)), fruit);
  EXPECT_EQ(name_of(Fruit::blood_orange), "blood-orange");
  EXPECT_EQ(from_name<Fruit>("Apple"), std::nullopt);
  EXPECT_EQ(from_name<Fruit>(""), std::nullopt);
  EXPECT_THAT(all_names<Fruit>(), testing::ElementsAre("apple", "blood-orange", "pear"));
}

TEST(NamedEnum, AnUnknownNameIsRefusedWithAllThatThereAre) {
  EXPECT_EQ(named<Fruit>("--fruit", "pear"), Fruit::pear);
  try {
    named<Fruit>("--fruit", "plum");
    FAIL() << "a plum is no fruit here";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_STREQ(error.what(), "unknown --fruit 'plum': use apple, blood-orange or pear");
  }
}

}  // namespace
}  // namespace shardrift
