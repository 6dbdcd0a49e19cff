// GGUF files that lie about themselves.
#include "gguf_bytes.hpp"
#include "weight_files.hpp"
#include "weights/gguf/gguf_file.hpp"

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

class BadGguf : public testing::TestWithParam<Bad> {};

TEST_P(BadGguf, IsRefusedByName) {
  const TemporaryDirectory directory;
  const auto path = directory.write("bad.gguf", GetParam().bytes);
  auto parts = GetParam().message;
  parts.push_back(path.string());
  expect_bad_data([&] { GgufFile::open(path); }, parts);
  try {
    GgufFile::open(path);
  } catch (const std::exception& error) {
    const std::string text = error.what();
    EXPECT_EQ(text.find(path.string()), text.rfind(path.string())) << "the file is named twice: " << text;
  }
}

constexpr std::uint64_t kHuge = ~std::uint64_t{0};

std::string header(std::uint32_t version, std::uint64_t tensors, std::uint64_t pairs,
                   const std::string& rest = {}) {
  return "GGUF" + little(version) + little(tensors) + little(pairs) + rest;
}
std::string pair(const std::string& bytes) {
  return header(3, 0, 1, bytes);
}
std::string key(std::uint32_t kind, const std::string& value) {
  return gguf_string("k") + little(kind) + value;
}
// One tensor "w" and 64 bytes of data.
std::string one(const std::vector<std::uint64_t>& dims, std::uint32_t type, std::uint64_t offset = 0) {
  return gguf_bytes({}, {gguf_tensor("w", dims, type, offset)}, counting(64));
}
std::string two(std::uint64_t first, std::uint64_t second, std::size_t n) {
  return gguf_bytes({}, {gguf_tensor("a", {8}, 0, first), gguf_tensor("b", {8}, 0, second)}, counting(n));
}

INSTANTIATE_TEST_SUITE_P(
    Header, BadGguf,
    testing::Values(
        Bad{"empty", "", {"no GGUF file"}}, Bad{"another magic", "GGML....", {"no GGUF file"}},
        Bad{"magic alone", "GGUF", {"the version takes 4 bytes at byte 4", "0 follow"}},
        Bad{"counts cut off", header(3, 0, 0).substr(0, 20), {"the number of keys takes 8 bytes"}},
        Bad{"version 1", header(1, 0, 0), {"GGUF version 1", "2 and 3"}},
        Bad{"version 4", header(4, 0, 0), {"GGUF version 4"}},
        Bad{"big-endian", header(0x03000000, 0, 0), {"big-endian"}},
        Bad{"keys beyond the file", header(3, 0, kHuge), {"18446744073709551615 keys", "0 bytes follow"}},
        Bad{"tensors beyond the file", header(3, 1000, 0), {"1000 tensors", "0 bytes follow"}}));

INSTANTIATE_TEST_SUITE_P(
    Keys, BadGguf,
    testing::Values(
        Bad{"key longer than the file",
            pair(little<std::uint64_t>(1000) + "keykey"),
            {"key 0 takes 1000 bytes"}},
        Bad{"key of 2^64-1 bytes", pair(little(kHuge) + "keykey"), {"18446744073709551615"}},
        Bad{"key without name",
            pair(gguf_string("") + little<std::uint32_t>(4) + "1234"),
            {"key 0 has 0 bytes"}},
        Bad{"kind of value", pair(key(13, "12345678")), {"key \"k\"", "kind 13"}},
        Bad{"string longer than the file",
            pair(key(8, little<std::uint64_t>(99) + "x")),
            {"key \"k\"", "99"}},
        Bad{"array of an unknown kind",
            pair(key(9, little<std::uint32_t>(99) + little<std::uint64_t>(0))),
            {"kind 99"}},
        Bad{"array longer than the file",
            pair(key(9, little<std::uint32_t>(4) + little<std::uint64_t>(1U << 30U) + "1234")),
            {"key \"k\"", "1073741824 elements", "4 follow"}},
        Bad{"array of 2^62 numbers",
            pair(key(9, little<std::uint32_t>(10) + little(std::uint64_t{1} << 62U) + "1234")),
            {"4611686018427387904"}},
        Bad{"array of strings that end early",
            pair(key(9,
                     little<std::uint32_t>(8) + little<std::uint64_t>(1) + little<std::uint64_t>(7) + "x")),
            {"key \"k\"", "7 bytes"}},
        Bad{"arrays in arrays in arrays",
            pair(key(9,
                     [] {
                       std::string nested;
                       for (int i = 0; i < 6; ++i)
                         nested += little<std::uint32_t>(9) + little<std::uint64_t>(1);
                       return nested + little<std::uint32_t>(0) + little<std::uint64_t>(0);
                     }())),
            {"nested deeper"}},
        Bad{"key twice", header(3, 0, 2, gguf_u32("k", 1) + gguf_u32("k", 2)), {"key \"k\"", "twice"}},
        Bad{"alignment 0", pair(gguf_u32("general.alignment", 0)), {"general.alignment is 0"}},
        Bad{"alignment 24", pair(gguf_u32("general.alignment", 24)), {"general.alignment is 24"}},
        Bad{"alignment a string",
            pair(gguf_text("general.alignment", "32")),
            {"general.alignment", "integer"}}));

INSTANTIATE_TEST_SUITE_P(
    Tensors, BadGguf,
    testing::Values(
        Bad{"five dimensions", one({2, 1, 1, 1, 1}, 0), {"tensor \"w\"", "5 dimensions"}},
        Bad{"2^32-1 dimensions",
            gguf_bytes({}, {gguf_string("w") + little<std::uint32_t>(~0U) + counting(24)}),
            {"4294967295 dimensions"}},
        Bad{"a dimension of zero", one({0, 4}, 0), {"tensor \"w\"", "[0,4]"}},
        Bad{"dimensions that overflow",
            one({std::uint64_t{1} << 32U, std::uint64_t{1} << 32U}, 0),
            {"4294967296"}},
        Bad{"bytes that overflow", one({std::uint64_t{1} << 62U}, 0), {"4611686018427387904"}},
        Bad{"a dimension of 2^63", one({std::uint64_t{1} << 63U}, 24), {"9223372036854775808"}},
        Bad{"more than the file", one({1000}, 0), {"tensor \"w\"", "more bytes than the file has"}},
        Bad{"beyond the data", one({16}, 0, 32), {"64 bytes at offset 32", "64 bytes of data"}},
        Bad{"offset beyond the data", one({4}, 0, 96), {"offset 96"}},
        Bad{"offset of nearly 2^64", one({4}, 0, kHuge - 31), {"18446744073709551584"}},
        Bad{"offset not aligned", one({4}, 0, 4), {"offset 4", "alignment, 32"}},
        Bad{"unknown type", one({4}, 99), {"tensor \"w\"", "type 99"}},
        Bad{"withdrawn type", one({32}, 4), {"type 4"}},
        Bad{"rows that are no blocks", one({33}, 8), {"rows of 33 elements", "Q8_0", "32"}},
        Bad{"name twice",
            gguf_bytes({}, {gguf_tensor("w", {8}, 0, 0), gguf_tensor("w", {8}, 0, 32)}, counting(64)),
            {"tensor \"w\"", "twice"}},
        Bad{"name longer than the file",
            header(3, 1, 0, little<std::uint64_t>(500) + counting(20)),
            {"tensor 0's name"}},
        Bad{"overlapping", two(0, 0, 64), {"\"a\" and \"b\" overlap"}},
        Bad{"a hole", two(0, 64, 96), {"hole of 32 bytes", "tensor \"b\""}}));

}  // namespace
}  // namespace shardrift
