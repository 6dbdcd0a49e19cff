#include "record/hdf5_types.hpp"

#include <algorithm>
#include <cstdint>

#include "record/record.hpp"

namespace shardrift::record::h5 {
namespace {

Handle copy_of(hid_t type) {
  return {H5Tcopy(type), H5Tclose, "datatype"};
}

// A 16-bit IEEE-like float: one sign bit, then the exponent, then the mantissa with its hidden bit.
Handle float16_type(std::size_t exponent_bits, std::size_t bias) {
  const std::size_t mantissa_bits = 15 - exponent_bits;
  Handle type = copy_of(H5T_IEEE_F32LE);
  // Fields first: the size may only shrink to what they need.
  check(H5Tset_fields(type, 15, mantissa_bits, exponent_bits, 0, mantissa_bits), "16-bit float fields");
  check(H5Tset_size(type, 2), "16-bit float size");
  check(H5Tset_ebias(type, bias), "16-bit float bias");
  return type;
}

}  // namespace

Handle float_type(DType dtype) {
  switch (storage_of(dtype)) {
    case DType::float64:
      return copy_of(H5T_IEEE_F64LE);
    case DType::float16:
      return float16_type(5, 15);
    case DType::bfloat16:
      return float16_type(8, 127);
    default:
      return copy_of(H5T_IEEE_F32LE);
  }
}

Handle text_type(std::size_t bytes) {
  Handle type = copy_of(H5T_C_S1);
  check(H5Tset_size(type, std::max<std::size_t>(bytes, 1)), "string length");
  check(H5Tset_strpad(type, H5T_STR_NULLPAD), "string padding");
  check(H5Tset_cset(type, H5T_CSET_UTF8), "string encoding");
  return type;
}

Handle phase_type() {
  Handle type(H5Tenum_create(H5T_STD_U8LE), H5Tclose, "phase type");
  const auto insert = [&](const char* name, Phase phase) {
    const auto value = static_cast<std::uint8_t>(phase);
    check(H5Tenum_insert(type, name, &value), "phase type");
  };
  insert("prefill", Phase::prefill);
  insert("decode", Phase::decode);
  return type;
}

Handle int32_type() {
  return copy_of(H5T_STD_I32LE);
}
Handle int64_type() {
  return copy_of(H5T_STD_I64LE);
}
Handle uint64_type() {
  return copy_of(H5T_STD_U64LE);
}

}  // namespace shardrift::record::h5
