// One hash for the weights: of every stored byte, of nothing else, and kept between runs only while it holds.
#include "weights/weight_hash.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iterator>

#include "tests/unit/weights/weight_files.hpp"
#include "weights/hash_cache.hpp"

namespace shardrift {
namespace {

namespace fs = std::filesystem;

// Three tensors, one of several blocks; `first` changes the first byte.
constexpr std::size_t kLong = (std::size_t{5} << 20U) + 12;
std::string header(std::size_t begin = 0) {
  return fmt::format(R"({{"a":{{"dtype":"F32","shape":[2,2],"data_offsets":[{},{}]}},)"
                     R"("b":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}},)"
                     R"("c":{{"dtype":"F16","shape":[0],"data_offsets":[{},{}]}}}})",
                     begin, begin + 16, kLong, begin + 16, begin + 16 + kLong, begin + 16 + kLong,
                     begin + 16 + kLong);
}
std::string data() {
  return counting(16 + kLong);
}

class WeightHash : public ::testing::Test {
 protected:
  void SetUp() override { setenv("SHARDRIFT_CACHE_DIR", (folder_ / "cache").c_str(), 1); }
  void TearDown() override { unsetenv("SHARDRIFT_CACHE_DIR"); }

  std::string hash_of(const std::string& bytes, const std::string& name = "model") {
    const fs::path model = folder_ / name;
    fs::create_directories(model);
    std::ofstream(model / "model.safetensors", std::ios::binary) << bytes;
    return hash_weights(Checkpoint::open(model), 2);
  }
  // As if it had been written long ago.
  void age(const std::string& name) {
    const fs::path file = folder_ / name / "model.safetensors";
    fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(1));
  }

  TemporaryDirectory folder_;
};

TEST_F(WeightHash, AddsUpOverAnyNumberOfSharesAndThreads) {
  fs::create_directories(folder_ / "m");
  std::ofstream(folder_ / "m" / "model.safetensors", std::ios::binary) << safetensors(header(), data());
  const auto checkpoint = Checkpoint::open(folder_ / "m");
  std::vector<std::uint64_t> whole;
  for (const int shares : {1, 2, 3, 7, 64}) {
    std::vector<std::uint64_t> sums(3, 0);
    for (int share = 0; share < shares; ++share) {
      WeightHasher hasher(checkpoint, share, shares, 1 + (share + shares) % 4);
      const auto& part = hasher.sums([](double done) { EXPECT_LE(done, 1.0); });
      std::transform(sums.begin(), sums.end(), part.begin(), sums.begin(), std::plus<>());
    }
    if (whole.empty()) whole = sums;
    EXPECT_EQ(sums, whole) << shares;
  }
  EXPECT_EQ(weight_hash(checkpoint, whole), hash_weights(checkpoint, 3));
}

TEST_F(WeightHash, IsOfTheTensorsAndNotOfTheirPlaces) {
  const auto usual = hash_of(safetensors(header(), data()));
  // The header written with other blanks, and the tensors spread over two files.
  EXPECT_EQ(hash_of(safetensors(header() + "   ", data()), "blanks"), usual);
  fs::create_directories(folder_ / "two");
  const auto one = R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})";
  const auto rest = fmt::format(
      R"({{"b":{{"dtype":"U8","shape":[{}],"data_offsets":[0,{}]}},"c":{{"dtype":"F16","shape":[0],"data_offsets":[{},{}]}}}})",
      kLong, kLong, kLong, kLong);
  std::ofstream(folder_ / "two" / "1.safetensors", std::ios::binary)
      << safetensors(one, data().substr(0, 16));
  std::ofstream(folder_ / "two" / "2.safetensors", std::ios::binary) << safetensors(rest, data().substr(16));
  std::ofstream(folder_ / "two" / "model.safetensors.index.json")
      << R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors","c":"2.safetensors"}})";
  EXPECT_EQ(hash_weights(Checkpoint::open(folder_ / "two"), 1), usual);
}

TEST_F(WeightHash, SeesEveryByteAndItsPlace) {
  const auto usual = hash_of(safetensors(header(), data()));
  for (const std::size_t at :
       {std::size_t{0}, std::size_t{15}, std::size_t{16}, std::size_t{1} << 20U, data().size() - 1}) {
    auto other = data();
    other[at] = static_cast<char>(other[at] ^ 1);
    EXPECT_NE(hash_of(safetensors(header(), other)), usual) << at;
  }
  // Two equal blocks' worth of bytes exchanged.
  auto swapped = data();
  std::swap_ranges(swapped.begin() + 16, swapped.begin() + 16 + (1 << 20), swapped.begin() + 16 + (1 << 20));
  swapped[16] = 'x';
  auto back = swapped;
  std::swap_ranges(back.begin() + 16, back.begin() + 16 + (1 << 20), back.begin() + 16 + (1 << 20));
  EXPECT_NE(hash_of(safetensors(header(), swapped)), hash_of(safetensors(header(), back)));
  // Another name, dtype or shape of the same bytes.
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"a\"", "\"d\""}, {"F32", "I32"}, {"[2,2]", "[4,1]"}}) {
    auto text = header();
    text.replace(text.find(from), from.size(), to);
    EXPECT_NE(hash_of(safetensors(text, data())), usual) << to;
  }
}

TEST_F(WeightHash, IsKeptWhileTheFileIsTheSame) {
  const auto later = std::chrono::system_clock::now() + std::chrono::hours(1);
  hash_of(safetensors(header(), data()));
  const auto checkpoint = Checkpoint::open(folder_ / "model");
  EXPECT_FALSE(kept_sums(checkpoint).has_value()) << "a file of this moment was believed";
  const std::vector<std::uint64_t> sums{1, 2, 3};  // not its own: so it is seen where they come from
  keep_sums(checkpoint, sums, later);
  EXPECT_EQ(kept_sums(checkpoint), sums);
  EXPECT_EQ(hash_weights(checkpoint, 1), weight_hash(checkpoint, sums));

  std::vector<fs::path> kept;
  for (const auto& entry : fs::directory_iterator(folder_ / "cache/weights")) kept.push_back(entry.path());
  ASSERT_EQ(kept.size(), 1U);
  const auto whole = [&] {
    std::ifstream file(kept.front());
    return std::string(std::istreambuf_iterator<char>(file), {});
  }();
  for (std::size_t bytes = 0; bytes + 2 < whole.size(); bytes += 7) {  // the last byte is a line's end
    std::ofstream(kept.front()) << whole.substr(0, bytes);
    EXPECT_FALSE(kept_sums(checkpoint).has_value()) << bytes;
  }
  std::ofstream(kept.front()) << whole;
  EXPECT_EQ(kept_sums(checkpoint), sums);
  age("model");  // mtime is set, and with it ctime
  EXPECT_FALSE(kept_sums(Checkpoint::open(folder_ / "model")).has_value());
}

TEST_F(WeightHash, GoesWithoutAFolderToKeepItIn) {
  const auto usual = hash_of(safetensors(header(), data()));
  const auto blocked = folder_.write("file", "");
  setenv("SHARDRIFT_CACHE_DIR", (blocked / "in a file").c_str(), 1);
  EXPECT_EQ(hash_weights(Checkpoint::open(folder_ / "model"), 1), usual);
}

TEST_F(WeightHash, WritingWhileItIsReadIsNoticed) {
  hash_of(safetensors(header(), data()));
  const auto checkpoint = Checkpoint::open(folder_ / "model");
  checkpoint.require_unchanged();
  age("model");
  try {
    checkpoint.require_unchanged();
    ADD_FAILURE() << "accepted";
  } catch (const Error& problem) {
    EXPECT_EQ(problem.code(), ExitCode::failure);
    EXPECT_THAT(problem.what(), ::testing::HasSubstr("model.safetensors: was written to while"));
  }
  // Another file under the name: what is mapped stays.
  const auto before = Checkpoint::open(folder_ / "model");
  std::ofstream(folder_ / "model" / "new", std::ios::binary) << safetensors(header(), data());
  fs::rename(folder_ / "model" / "new", folder_ / "model" / "model.safetensors");
  before.require_unchanged();
}

}  // namespace
}  // namespace shardrift
