// What the targets share: their input as a file, and which answers are none of a fault.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>

#include "common/error.hpp"

namespace shardrift::fuzz {

// A folder of this process, in memory where there is /dev/shm; gone at its end.
const std::filesystem::path& folder();
// A file in it, new each time: a reader may have mapped the one before.
std::filesystem::path write(const char* name, std::string_view bytes);

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Refusing by name is an answer; whatever else is thrown ends the target, which is what libFuzzer reports.
template <typename Read>
int read_or_refuse(Read&& read) {
  try {
    read();
  } catch (const Error& error) {
    if (error.code() != ExitCode::bad_data && error.code() != ExitCode::usage) throw;
  }
  return 0;
}

}  // namespace shardrift::fuzz
