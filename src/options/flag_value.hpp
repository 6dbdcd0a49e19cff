// How the library that parses command lines takes a flag's text into a variable. A path would be read with
// its own >>, which takes only quoted blanks: "my model" would be refused. So paths are taken as texts, and
// no flag is declared with po::value of a path.
#pragma once
#include <boost/program_options.hpp>

#include <filesystem>
#include <optional>
#include <string>

namespace shardrift {

// The type for the parser of what a variable of `Value` gets.
template <typename Value>
struct TakenAs {
  using Type = Value;
};
template <>
struct TakenAs<std::filesystem::path> {
  using Type = std::string;
};
template <typename Value>
struct TakenAs<std::optional<Value>> {
  using Type = typename TakenAs<Value>::Type;
};

// In place of po::value(&value): any text is a path, blanks and quotes too.
template <typename Value>
boost::program_options::typed_value<typename TakenAs<Value>::Type>* taken_into(Value& value) {
  using Type = typename TakenAs<Value>::Type;
  return boost::program_options::value<Type>()->notifier([&value](const Type& given) { value = given; });
}

}  // namespace shardrift
