#include "foreign/other_kind.hpp"

#include <array>
#include <fstream>
#include <string>
#include <string_view>

#include "common/error.hpp"
#include "foreign/npy_file.hpp"
#include "record/reader.hpp"

namespace shardrift::foreign {
namespace {

constexpr std::string_view kHdf5 = "\x89HDF\r\n\x1a\n";
constexpr std::string_view kZip = "PK\x03\x04";

bool is_record(const std::filesystem::path& path) {
  try {
    record::Reader::open(path);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

void refuse_other_kind(const std::filesystem::path& path) {
  std::array<char, kHdf5.size()> bytes{};
  std::ifstream file(path, std::ios::binary);
  file.read(bytes.data(), bytes.size());
  const std::string_view begin(bytes.data(), static_cast<std::size_t>(file.gcount()));
  if (begin == kHdf5 && is_record(path))
    throw bad_data("{}: is a record already: give it to compare, explain, gate and report as it is",
                   path.string());
  if (begin == kHdf5)
    throw bad_data(
        "{}: is an HDF5 file, and no record that can be read (shardrift inspect says why): import takes "
        ".safetensors, "
        ".npy, answers of servers and llama.cpp's file",
        path.string());
  if (begin.starts_with(kZip))
    throw bad_data(
        "{}: is a zip archive, as .npz and torch's .pt files are: save each array with numpy.save, or all of "
        "them as "
        "safetensors",
        path.string());
  if (path.extension() == ".npy" && !is_npy(path))
    throw bad_data("{}: does not begin as a .npy file: cut off, or not saved by numpy.save", path.string());
}

}  // namespace shardrift::foreign
