// safetensors files that lie about themselves.
#include <sys/stat.h>

#include <random>

#include "weight_files.hpp"
#include "weights/safetensors.hpp"

namespace shardrift {
namespace {

struct Bad {
  const char* what;
  std::string bytes;
  std::vector<std::string> message;
};

void PrintTo(const Bad& bad, std::ostream* out) {
  *out << bad.what;
}

class BadSafetensors : public testing::TestWithParam<Bad> {};

TEST_P(BadSafetensors, IsRefusedByName) {
  const TemporaryDirectory directory;
  const auto path = directory.write("bad.safetensors", GetParam().bytes);
  auto parts = GetParam().message;
  parts.push_back(path.string());
  expect_bad_data([&] { SafetensorsFile::open(path); }, parts);
}

// One tensor "w" and 8 bytes of data.
std::string one(const std::string& entry) {
  return safetensors(R"({"w":)" + entry + "}", counting(8));
}
// Tensors a, b of one row of F16 with these offsets, and n bytes of data.
std::string two(const std::string& a, const std::string& b, std::size_t n) {
  const auto entry = [](const std::string& range) {
    const auto comma = range.find(',');
    const auto bytes = std::stoi(range.substr(comma + 1)) - std::stoi(range.substr(0, comma));
    return R"({"dtype":"F16","shape":[)" + std::to_string(bytes / 2) + R"(],"data_offsets":[)" + range + "]}";
  };
  return safetensors(R"({"a":)" + entry(a) + R"(,"b":)" + entry(b) + "}", counting(n));
}
std::string length_only(std::uint64_t length, const std::string& rest) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) {
    bytes.push_back(static_cast<char>((length >> (8 * i)) & 0xFF));
  }
  return bytes + rest;
}

INSTANTIATE_TEST_SUITE_P(
    All, BadSafetensors,
    testing::Values(
        Bad{"empty", "", {"0 bytes, too short"}}, Bad{"7 bytes", "1234567", {"7 bytes, too short"}},
        Bad{"header beyond the file", length_only(100, "{}"), {"header length 100", "2 bytes follow"}},
        Bad{"header over the limit", length_only(100'000'001, "{}"), {"100000001", "100000000"}},
        Bad{"header of 2^64-1", length_only(~0ULL, "{}"), {"18446744073709551615"}},
        Bad{"header of 2^64-8", length_only(~0ULL - 7, "{}"), {"18446744073709551608"}},
        Bad{"no header", length_only(0, ""), {"not valid JSON"}},
        Bad{"no JSON", safetensors("{\"w\":", ""), {"not valid JSON"}},
        Bad{"zero byte in the header", safetensors(std::string("{}\0", 3), ""), {"not valid JSON"}},
        Bad{"not UTF-8", safetensors("{\"\xFF\":1}", ""), {"not valid JSON"}},
        Bad{"array", safetensors("[1,2]", ""), {"object is expected", "[1,2]"}},
        Bad{"number", safetensors("17", ""), {"object is expected", "17"}},
        Bad{"deep arrays", safetensors(R"({"w":)" + std::string(1000000, '['), ""), {"deeper than 64"}},
        Bad{"deep objects",
            [] {
              std::string header;
              for (int i = 0; i < 100; ++i) {
                header += R"({"w":)";
              }
              return safetensors(header + "1" + std::string(100, '}'), "");
            }(),
            {"deeper than 64"}},
        Bad{"duplicate tensor",
            safetensors(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
                            "w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                        counting(8)),
            {"\"w\"", "twice"}},
        Bad{"duplicate key",
            one(R"({"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]})"),
            {"\"shape\"", "twice"}},
        Bad{"metadata no object", safetensors(R"({"__metadata__":3})", ""), {"__metadata__ is 3"}},
        Bad{"metadata no strings",
            safetensors(R"({"__metadata__":{"a":1}})", ""),
            {"__metadata__", "{\"a\":1}"}},
        Bad{"entry no object", one("[0,8]"), {"\"w\"", "[0,8]"}},
        Bad{"no dtype", one(R"({"shape":[2],"data_offsets":[0,8]})"), {"\"w\"", "dtype is missing"}},
        Bad{"no shape", one(R"({"dtype":"F32","data_offsets":[0,8]})"), {"\"w\"", "shape is missing"}},
        Bad{"no offsets", one(R"({"dtype":"F32","shape":[2]})"), {"\"w\"", "data_offsets is missing"}},
        Bad{"dtype number",
            one(R"({"dtype":32,"shape":[2],"data_offsets":[0,8]})"),
            {"\"w\"", "dtype", "32"}},
        Bad{"shape number",
            one(R"({"dtype":"F32","shape":2,"data_offsets":[0,8]})"),
            {"\"w\"", "shape", "2"}},
        Bad{"negative dim",
            one(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"),
            {"\"w\"", "shape has -2"}},
        Bad{"two negative dims",
            one(R"({"dtype":"F32","shape":[-1,-2],"data_offsets":[0,8]})"),
            {"shape has -1"}},
        Bad{"fraction dim", one(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})"), {"shape has 2.0"}},
        Bad{"text dim", one(R"({"dtype":"F32","shape":["2"],"data_offsets":[0,8]})"), {"shape has \"2\""}},
        Bad{"dim of 2^63",
            one(R"({"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]})"),
            {"shape has 9223372036854775808"}},
        Bad{"dim of 2^64",
            one(R"({"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8]})"),
            {"shape has 1.8446744073709"}},
        Bad{"product wraps to 8",
            one(R"({"dtype":"F32","shape":[4611686018427387905,2],"data_offsets":[0,8]})"),
            {"\"w\"", "4611686018427387905", "larger than any file"}},
        Bad{"bits wrap",
            one(R"({"dtype":"F32","shape":[576460752303423490],"data_offsets":[0,8]})"),
            {"576460752303423490", "larger than any file"}},
        Bad{"shape too large",
            one(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"),
            {"\"w\"", "[3] of F32 takes 12 bytes", "[0, 8] hold 8"}},
        Bad{"shape too small",
            one(R"({"dtype":"F64","shape":[],"data_offsets":[0,7]})"),
            {"8 bytes", "hold 7"}},
        Bad{"empty tensor with bytes",
            one(R"({"dtype":"F32","shape":[0],"data_offsets":[0,8]})"),
            {"takes 0 bytes"}},
        Bad{"half a byte", one(R"({"dtype":"F4","shape":[15],"data_offsets":[0,7]})"), {"[15] of F4"}},
        Bad{"a dtype we never read, wrong size",
            one(R"({"dtype":"I64","shape":[2],"data_offsets":[0,8]})"),
            {"takes 16 bytes"}},
        Bad{"offsets no array",
            one(R"({"dtype":"F32","shape":[2],"data_offsets":8})"),
            {"data_offsets are 8"}},
        Bad{"one offset", one(R"({"dtype":"F32","shape":[2],"data_offsets":[8]})"), {"data_offsets are [8]"}},
        Bad{"three offsets", one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4,8]})"), {"[0,4,8]"}},
        Bad{"negative offset", one(R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})"), {"[-8,0]"}},
        Bad{"fraction offset", one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8.0]})"), {"[0,8.0]"}},
        Bad{"huge offset",
            one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551624]})"),
            {"data_offsets are [0,1.844"}},
        Bad{"begin after end",
            one(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"),
            {"\"w\"", "[8, 0] end before they begin"}},
        Bad{"beyond the file",
            one(R"({"dtype":"F32","shape":[3],"data_offsets":[0,12]})"),
            {"\"w\"", "[0, 12] go beyond the 8 bytes", "truncated"}},
        Bad{"overlap", two("0,4", "2,6", 6), {"\"a\" and \"b\" overlap", "[2, 6]"}},
        Bad{"the same bytes twice", two("0,4", "0,4", 4), {"\"a\" and \"b\" overlap"}},
        Bad{"one inside another", two("0,8", "2,4", 8), {"\"a\" and \"b\" overlap"}},
        Bad{"empty one inside another", two("0,8", "4,4", 8), {"\"a\" and \"b\" overlap"}},
        Bad{"hole", two("0,4", "6,8", 8), {"a hole of 2 bytes before tensor \"b\"", "[6, 8]"}},
        Bad{"hole at the start", two("2,4", "4,8", 8), {"a hole of 2 bytes before tensor \"a\""}},
        Bad{"bytes at the end", two("0,4", "4,8", 11), {"11 bytes of data", "3 bytes belong to no tensor"}},
        Bad{"data without tensors", safetensors("{}", "x"), {"1 bytes belong to no tensor"}}));

TEST(Safetensors, WhatIsNoFile) {
  const TemporaryDirectory directory;
  expect_bad_data([&] { SafetensorsFile::open(directory / "none"); },
                  {(directory / "none").string(), "No such file"});
  expect_bad_data([&] { SafetensorsFile::open(directory.path()); },
                  {directory.path().string(), "regular file"});
  ASSERT_EQ(::mkfifo((directory / "fifo").c_str(), 0600), 0);
  expect_bad_data([&] { SafetensorsFile::open(directory / "fifo"); }, {"fifo", "regular file"});
}

TEST(Safetensors, LongNamesAreCutInMessages) {
  const TemporaryDirectory directory;
  std::string name;
  for (int i = 0; i < 100000; ++i) {
    name += "é";
  }
  const auto path = directory.write("a", safetensors(R"({")" + name + R"(":3})", ""));
  try {
    SafetensorsFile::open(path);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_LT(std::string(error.what()).size(), 300U);
    EXPECT_THAT(error.what(), testing::HasSubstr("éé…"));
  }
}

// Random changes to header and length: an Error, or tensors whose every byte can be read. Never a crash.
TEST(Safetensors, Mutations) {
  const TemporaryDirectory directory;
  std::mt19937 random(20240606);
  const auto pick = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
      R"("b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},"c":{"dtype":"F64","shape":[0],"data_offsets":[32,32]}})";
  const std::vector<std::string> pieces = {"-",
                                           "0",
                                           "1",
                                           "9223372036854775807",
                                           "18446744073709551615",
                                           "4294967296",
                                           "1e308",
                                           "null",
                                           "true",
                                           "\"F16\"",
                                           "\"U8\"",
                                           "[",
                                           "]",
                                           "{",
                                           "}",
                                           ",",
                                           "\"",
                                           "\\u0000",
                                           "\xC3",
                                           " ",
                                           "[]",
                                           "0,",
                                           "1,"};
  int accepted = 0;
  std::size_t sum = 0;
  for (int i = 0; i < 6000; ++i) {
    std::string text = header;
    for (std::size_t n = 1 + pick(3); n > 0; --n) {
      const auto at = pick(text.size());
      switch (pick(5)) {
        case 0:
          text[at] = static_cast<char>(pick(256));
          break;
        case 1:
          text.erase(at, 1 + pick(6));
          break;
        case 2:
          text[at] = static_cast<char>('0' + pick(10));
          break;
        case 3:
          text.insert(at, pieces[pick(pieces.size())]);
          break;
        default:
          text.insert(at, text.substr(pick(text.size()), pick(40)));
      }
    }
    auto bytes = safetensors(text, counting(32));
    if (pick(4) == 0) {
      bytes[pick(8)] = static_cast<char>(pick(256));
    }
    if (pick(8) == 0) {
      bytes.resize(pick(bytes.size()));
    }
    const auto path = directory.write("m.safetensors", bytes);
    try {
      const auto file = SafetensorsFile::open(path);
      ++accepted;
      for (const auto& name : file.names()) {
        const auto view = file.find(name);
        for (std::size_t k = 0; k < view->bytes; ++k) {
          sum += std::to_integer<std::size_t>(view->data[k]);
        }
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_data);
      EXPECT_THAT(error.what(), testing::HasSubstr(path.string()));
      EXPECT_LT(std::string(error.what()).size(), 600U);
    }
  }
  EXPECT_GT(accepted, 50);
  EXPECT_GT(sum, 0U);
}

}  // namespace
}  // namespace shardrift
