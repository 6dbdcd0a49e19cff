// NumPy's .npy files: one array. Format:
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html (magic, version, length of the
// header, the header as a Python dictionary, the array's bytes).
#pragma once
#include <filesystem>

#include "foreign/tensor.hpp"

namespace shardrift::foreign {

// By its first bytes; false where it cannot be read.
bool is_npy(const std::filesystem::path& path);

// Versions 1 to 3; the dtype '<V2' (and '|V2'), which NumPy writes for bfloat16, is read as that. Throws
// bad_data naming file and value: missing, truncated or too long, a header that is none, big-endian or
// Fortran order, a type that is no number.
Tensor read_npy(const std::filesystem::path& path);

}  // namespace shardrift::foreign
