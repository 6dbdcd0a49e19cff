// Enums whose values have names, as flags, files and messages spell them. ONE table beside the enum gives the
// name of a value, the value of a name, and the refusal of a name that is none:
//
//   enum class Device { cpu, cuda };
//   constexpr auto names_of(Device) {
//     return std::to_array<Named<Device>>({{Device::cpu, "cpu"}, {Device::cuda, "cuda"}});
//   }
//
// It is found in the enum's namespace and lists every value, from 0 up: a forgotten one does not compile.
// (magic_enum has no package in Debian 12 and spells identifiers; "basic-linear" and "not started" are none.)
#pragma once
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace shardrift {

template <typename E>
struct Named {
  E value;
  std::string_view name;
};

template <typename E>
concept NamedEnum = std::is_enum_v<E> && requires {
  names_of(E{});
};

namespace named_enum {

// Compilers spell a value without an enumerator as a cast, "(E)2".
template <auto Value>
constexpr bool has_enumerator() {
  const std::string_view text = __PRETTY_FUNCTION__;
  return text.find('(', text.rfind('=')) == std::string_view::npos;
}

template <NamedEnum E>
constexpr bool is_complete() {
  constexpr auto table = names_of(E{});
  for (std::size_t i = 0; i < table.size(); ++i)
    if (static_cast<std::size_t>(table[i].value) != i) return false;
  return !has_enumerator<static_cast<E>(table.size())>();
}

// "a, b or c"
std::string listed(std::span<const std::string_view> names);
[[noreturn]] void refuse(std::string_view what, std::string_view name,
                         std::span<const std::string_view> known);

}  // namespace named_enum

template <NamedEnum E>
constexpr std::string_view name_of(E value) {
  static_assert(named_enum::is_complete<E>(), "names_of() lists every value of the enum, in its order");
  constexpr auto table = names_of(E{});
  return table[static_cast<std::size_t>(value)].name;
}

template <NamedEnum E>
constexpr std::optional<E> from_name(std::string_view name) {
  for (const auto& one : names_of(E{}))
    if (one.name == name) return one.value;
  return std::nullopt;
}

// Every name, in the order of the values.
template <NamedEnum E>
constexpr auto all_names() {
  constexpr auto table = names_of(E{});
  std::array<std::string_view, table.size()> names;
  for (std::size_t i = 0; i < table.size(); ++i) names[i] = table[i].name;
  return names;
}

template <NamedEnum E>
std::string listed_names() {
  return named_enum::listed(all_names<E>());
}

// The value of a name that somebody wrote. Throws usage_error "unknown --device 'gpu': use cpu or cuda",
// where `what` is "--device".
template <NamedEnum E>
E named(std::string_view what, std::string_view name) {
  if (const auto value = from_name<E>(name)) return *value;
  named_enum::refuse(what, name, all_names<E>());
}

}  // namespace shardrift
