// Ways to damage an HDF5 file, each decided by `random` alone.
#pragma once
#include <filesystem>
#include <random>
#include <string>

namespace shardrift::analysis {

// Flipped bits, a block of noise, zeros or ones, a block copied elsewhere, or an end cut off.
std::string damaged_bytes(const std::string& good, std::mt19937& random);

// One object changed with the HDF5 library, so that all checksums are right: deleted, of another type, shape
// or layout, with other values, linked to another or to a group above it, a group instead of a dataset, …
void change_object(const std::filesystem::path& path, std::mt19937& random);

// The same objects in the format of HDF5 1.0 to 1.6, whose metadata have no checksums.
void write_in_old_format(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace shardrift::analysis
