// Columns of the metrics file: which HDF5 type a field has, and how it lies in memory. Private to
// analysis/measure.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "analysis/measure/measurement.hpp"
#include "common/error.hpp"
#include "record/hdf5_read.hpp"
#include "record/hdf5_types.hpp"
#include "record/hdf5_write.hpp"

namespace shardrift::analysis {

namespace h5 = record::h5;

inline constexpr hsize_t kChunkRows = 1 << 16;

template <typename Field>
struct Column;
template <>
struct Column<std::int64_t> {
  using Stored = std::int64_t;
  static constexpr const char* kName = "int64";
  static h5::Handle type() { return h5::int64_type(); }
};
template <>
struct Column<std::int32_t> {
  using Stored = std::int32_t;
  static constexpr const char* kName = "int32";
  static h5::Handle type() { return h5::int32_type(); }
};
template <>
struct Column<double> {
  using Stored = double;
  static constexpr const char* kName = "float64";
  static h5::Handle type() { return h5::float_type(DType::float64); }
};
template <>
struct Column<bool> {
  using Stored = std::uint8_t;
  static constexpr const char* kName = "uint8";
  static h5::Handle type() { return {H5Tcopy(H5T_STD_U8LE), H5Tclose, "datatype"}; }
};
template <>
struct Column<record::Phase> {
  using Stored = std::uint8_t;
  static constexpr const char* kName = "enum of prefill and decode";
  static h5::Handle type() { return h5::phase_type(); }
};

template <typename Field>
void write_column(hid_t group, const char* name, const std::vector<typename Column<Field>::Stored>& values,
                  const char* description) {
  h5::write_dataset(group, name, Column<Field>::type(), std::array<hsize_t, 1>{values.size()}, values.data(),
                    description, {.chunk_rows = kChunkRows});
}

template <typename Field>
std::vector<typename Column<Field>::Stored> read_column(const h5::Group& group, const char* name,
                                                        std::uint64_t rows) {
  const auto data = group.dataset(name);
  data.require_dims({rows});
  const auto type = Column<Field>::type();
  data.require_type(type, Column<Field>::kName);
  data.require_uncompressed();
  std::vector<typename Column<Field>::Stored> values(rows);
  data.read(type, values.data());
  // bool and Phase have two values; anything else is not theirs.
  if constexpr (sizeof(values[0]) == 1)
    for (const auto value : values)
      if (value > 1) throw h5::Hdf5Error(fmt::format("{}: {} is neither 0 nor 1", data.path(), value));
  return values;
}

// /routes, of the prompts whose routes were compared; absent where none were.
void write_routes(hid_t root, const std::vector<PromptMeasurement>& prompts);
void read_routes(const h5::Group& routes, std::vector<PromptMeasurement>& prompts);

}  // namespace shardrift::analysis
