// A value's table of fields: one row for each, from which its JSON, its HDF5 attributes, its flags and what
// is listed of it all come, so that a field stands in all of them or in none. The table lies beside the
// value:
//
//   constexpr auto fields_of(std::type_identity<Size>) {
//     return std::tuple{Field{"width", &Size::width}, Field{"height", &Size::height}};
//   }
//   static_assert(field_count<Size>() == member_count<Size>());
//
// A row may be of any type with a key and an access; what else it says is its table's own.
#pragma once
#include <cstddef>
#include <functional>
#include <string_view>
#include <tuple>
#include <type_traits>

namespace shardrift {

// access: a pointer to the member, or a function from the value to a reference where it lies deeper.
template <typename Access>
struct Field {
  std::string_view key;
  Access access;
};
template <typename Access>
Field(std::string_view, Access) -> Field<Access>;

// later: files without the field are older, and mean the value it is initialized with. Where that is its
// value, plans and resume keys leave it out: they stay what they were before there was such a field.
enum class Since { first, later };

// Calls visit(row, reference to the field) for every row, in the table's order.
template <typename Value, typename Visit>
void for_each_field(Value& value, Visit&& visit) {
  std::apply([&](const auto&... row) { (visit(row, std::invoke(row.access, value)), ...); },
             fields_of(std::type_identity<std::remove_const_t<Value>>{}));
}

// Does the field say more than a file without it?
template <typename Row, typename Value>
bool says_something(const Row& row, const Value& value) {
  const Value initial{};
  return row.since == Since::first || std::invoke(row.access, value) != std::invoke(row.access, initial);
}

template <typename Value>
constexpr std::size_t field_count() {
  return std::tuple_size_v<decltype(fields_of(std::type_identity<Value>{}))>;
}

namespace field_table {
struct Anything {
  template <typename T>
  operator T() const;  // never called
};
}  // namespace field_table

// How many members an aggregate has: as many as it can be initialized with.
template <typename Value, typename... Members>
constexpr std::size_t member_count() {
  if constexpr (requires { Value{Members{}..., field_table::Anything{}}; })
    return member_count<Value, Members..., field_table::Anything>();
  else
    return sizeof...(Members);
}

}  // namespace shardrift
