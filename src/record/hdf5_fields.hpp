// Values with a table of fields (record_fields.hpp) as attributes of a group, one for each row. Private to
// src/record.
#pragma once
#include <concepts>

#include "common/dtype.hpp"
#include "common/field_table.hpp"
#include "record/hdf5_read.hpp"
#include "record/hdf5_write.hpp"
#include "record/record_fields.hpp"

namespace shardrift::record::h5 {

inline void write_field(hid_t object, const std::string& name, const std::string& text) {
  write_attribute(object, name, text);
}
inline void write_field(hid_t object, const std::string& name, double value) {
  write_attribute(object, name, value);
}
template <std::integral T>
void write_field(hid_t object, const std::string& name, T value) {
  write_attribute(object, name, static_cast<std::int64_t>(value));
}
// What its words are stored as.
inline void write_field(hid_t object, const std::string& name, DType dtype) {
  write_attribute(object, name, name_of(storage_of(dtype)));
}

inline void read_field(const Group& group, const std::string& name, std::string& text) {
  text = group.text(name);
}
inline void read_field(const Group& group, const std::string& name, double& value) {
  value = group.real(name);
}
inline void read_field(const Group& group, const std::string& name, bool& value) {
  value = group.integer(name) != 0;
}
template <std::integral T>
void read_field(const Group& group, const std::string& name, T& value) {
  value = static_cast<T>(group.integer(name));
}
inline void read_field(const Group& group, const std::string& name, DType& dtype) {
  const std::string text = group.text(name);
  const auto known = from_name<DType>(text);
  if (!known || storage_of(*known) != *known)
    throw Hdf5Error(group.path() + "/@" + name + ": unknown type '" + text + "'");
  dtype = *known;
}

template <typename Value>
void write_fields(hid_t object, const Value& value) {
  for_each_field(
      value, [&](const auto& row, const auto& field) { write_field(object, std::string(row.key), field); });
}

template <typename Value>
void read_fields(const Group& group, Value& value) {
  for_each_field(value, [&](const auto& row, auto& field) {
    const std::string name(row.key);
    if (row.needed == Needed::yes || group.has_attribute(name)) read_field(group, name, field);
  });
}

}  // namespace shardrift::record::h5
