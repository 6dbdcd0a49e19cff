// The datatypes of schema 1, as HDF5 stores them. Private to src/record.
#pragma once
#include <bit>
#include <cstddef>
#include <optional>

#include "common/dtype.hpp"
#include "record/hdf5_handles.hpp"

namespace shardrift::record::h5 {

static_assert(std::endian::native == std::endian::little, "words are written as they lie in memory");

// Little-endian IEEE float64, float32, half, and bfloat16 as a custom 16-bit float (sign 15, exponent 7+8,
// mantissa 0+7, bias 127), which HDF5 widens exactly. tf32 has float32's.
Handle float_type(DType dtype);
Handle text_type(std::size_t bytes);  // fixed length, UTF-8, padded with NUL; 0 bytes are stored as one NUL
Handle phase_type();                  // uint8 enum {prefill, decode}
Handle int32_type();
Handle int64_type();
Handle uint64_type();

}  // namespace shardrift::record::h5
