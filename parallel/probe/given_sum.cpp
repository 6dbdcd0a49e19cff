#include "parallel/probe/given_sum.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/error.hpp"

namespace shardrift {
namespace {

std::uint64_t word_of(double value, DType dtype) {
  switch (dtype) {
    case DType::float64: {
      std::uint64_t word = 0;
      std::memcpy(&word, &value, sizeof word);
      return word;
    }
    case DType::float16:
      return float16_from_float(static_cast<float>(value));
    case DType::bfloat16:
      return bfloat16_from_float(static_cast<float>(value));
    default: {
      const auto narrow = static_cast<float>(value);
      std::uint32_t word = 0;
      std::memcpy(&word, &narrow, sizeof word);
      return word;
    }
  }
}

double value_of(std::uint64_t word, DType dtype) {
  switch (dtype) {
    case DType::float64: {
      double value = 0;
      std::memcpy(&value, &word, sizeof value);
      return value;
    }
    case DType::float16:
      return static_cast<double>(float_from_float16(static_cast<std::uint16_t>(word)));
    case DType::bfloat16:
      return static_cast<double>(float_from_bfloat16(static_cast<std::uint16_t>(word)));
    default: {
      const auto narrow = static_cast<std::uint32_t>(word);
      float value = 0;
      std::memcpy(&value, &narrow, sizeof value);
      return static_cast<double>(value);
    }
  }
}

// Words of a message are little-endian, as everything here.
std::vector<ValueSegment> segments_of(const std::vector<std::byte>& message, std::int64_t count,
                                      DType dtype) {
  const std::size_t bytes = size_of(dtype);
  std::vector<ValueSegment> segments;
  std::uint64_t last = 0;
  for (std::int64_t e = 0; e < count; ++e) {
    std::uint64_t word = 0;
    std::memcpy(&word, &message[static_cast<std::size_t>(e) * bytes], bytes);
    if (segments.empty() || word != last) segments.push_back({e, e, value_of(word, dtype)});
    segments.back().end = e + 1;
    last = word;
  }
  return segments;
}

}  // namespace

bool is_in(double value, DType dtype) {
  return std::isfinite(value) && value_of(word_of(value, dtype), dtype) == value;
}

void check_numbers(const std::vector<double>& numbers, int ranks, DType dtype) {
  if (numbers.size() < 2 || numbers.size() > static_cast<std::size_t>(ranks))
    throw usage_error("--numbers: {} given, use 2 to {}, one a rank", numbers.size(), ranks);
  for (const double number : numbers)
    if (!is_in(number, dtype))
      throw usage_error("--numbers {}: {} has no such number, it would be rounded before anything is added",
                        number, name_of(dtype));
}

std::vector<GivenSum> given_sums(int ranks, std::int64_t count, DType dtype, const ProbedSum& sum,
                                 const std::vector<double>& numbers) {
  check_numbers(numbers, ranks, dtype);
  std::vector<double> given(static_cast<std::size_t>(ranks), 0);
  std::copy(numbers.begin(), numbers.end(), given.begin());
  const std::size_t bytes = size_of(dtype);
  std::vector<std::byte> message(bytes * static_cast<std::size_t>(count));
  std::vector<GivenSum> sums;
  for (int turn = 0; turn < ranks; ++turn) {
    sum(
        [&](int rank, void* partial) {
          const std::uint64_t word = word_of(given[static_cast<std::size_t>(rank)], dtype);
          for (std::int64_t e = 0; e < count; ++e)
            std::memcpy(static_cast<std::byte*>(partial) + static_cast<std::size_t>(e) * bytes, &word, bytes);
        },
        message.data());
    sums.push_back({given, segments_of(message, count, dtype)});
    std::rotate(given.begin(), given.end() - 1, given.end());
  }
  return sums;
}

std::string describe(const std::vector<GivenSum>& sums, int most) {
  std::string text;
  for (const auto& one : sums) {
    std::vector<std::string> parts;
    for (const auto& segment : one.segments) {
      if (static_cast<int>(parts.size()) == most) {
        parts.push_back(fmt::format("… {} segments in all", one.segments.size()));
        break;
      }
      parts.push_back(fmt::format("[{}, {}) {}", segment.begin, segment.end, segment.value));
    }
    text += fmt::format("  {}: {}\n", fmt::join(one.given, " "), fmt::join(parts, " / "));
  }
  return text;
}

}  // namespace shardrift
