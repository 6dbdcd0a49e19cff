// The profile's file: what is written is read back; what is damaged is refused, naming file and key.
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/json_file.hpp"
#include "tests/unit/profile/example_profile.hpp"

namespace shardrift {
namespace {

using testing::example_profile;
using ::testing::HasSubstr;
using testing::message_of;

void expect_same(const CollectiveProfile& a, const CollectiveProfile& b) {
  EXPECT_EQ(profile_to_json(a), profile_to_json(b));
  EXPECT_EQ(a.model, b.model);
  ASSERT_EQ(a.probed.size(), b.probed.size());
  for (std::size_t i = 0; i < a.probed.size(); ++i) {
    EXPECT_EQ(a.probed[i].operation, b.probed[i].operation);
    EXPECT_EQ(a.probed[i].probe.dtype, b.probed[i].probe.dtype);
    EXPECT_EQ(a.probed[i].probe.map(), b.probed[i].probe.map());
    EXPECT_EQ(a.probed[i].probe.accumulator, b.probed[i].probe.accumulator);
    EXPECT_EQ(a.probed[i].model_agrees, b.probed[i].model_agrees);
  }
}

TEST(ProfileFile, RoundTrip) {
  auto profile = example_profile();
  expect_same(profile_from_json(profile_to_json(profile), "p"), profile);
  auto odd = testing::as_probed(uniform_map(linear_tree(4), 100), DType::float16);
  odd.probe.segments = {{0, 50, kNotBinary}, {50, 100, 0}};
  odd.probe.accumulator = std::nullopt;
  profile.add(odd);
  profile.model = OpenMpiModel{OpenMpiAllReduce::ring};
  EXPECT_EQ(profile_to_json(profile_from_json(profile_to_json(profile), "p")), profile_to_json(profile));
  profile.model = std::monostate{};
  EXPECT_EQ(profile_from_json(profile_to_json(profile), "p").model, profile.model);
}

TEST(ProfileFile, OnDisk) {
  const auto path =
      std::filesystem::temp_directory_path() / fmt::format("shardrift-profile-{}.json", getpid());
  const auto profile = example_profile();
  write_profile(profile, path);
  const auto read = read_profile(path);
  EXPECT_EQ(read.file, path);
  expect_same(read, profile);
  std::filesystem::remove(path);
  EXPECT_THAT(message_of([&] { read_profile(path); }), HasSubstr("no such file"));
  EXPECT_THAT(message_of([&] { write_profile(profile, "/no/such/folder/p.json"); }),
              HasSubstr("/no/such/folder"));
}

// The profiles that the project ships can be read, and their model agrees with everything they saw.
TEST(ProfileFile, ShippedProfiles) {
  int found = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(SHARDRIFT_SOURCE_DIR "/experiments/profiles")) {
    if (entry.path().extension() != ".json") continue;
    ++found;
    const auto profile = read_profile(entry.path());
    EXPECT_EQ(profile_to_json(profile), read_text_file(entry.path(), 1U << 28U)) << entry.path();
    for (const auto& one : profile.probed) {
      EXPECT_EQ(agrees(profile.model, one), one.model_agrees) << entry.path();
      EXPECT_NE(one.model_agrees, false) << entry.path();
      EXPECT_EQ(profile.map_for(one.operation, one.probe.dtype, one.probe.count), one.probe.map());
    }
  }
  EXPECT_GE(found, 3);
}

TEST(ProfileFile, KeepsOurOwnCollectives) {
  for (const auto collective : {Collective::one_shot, Collective::two_shot}) {
    auto profile = example_profile();
    profile.probed.clear();
    profile.model = PeerModel{collective};
    const auto text = profile_to_json(profile);
    EXPECT_EQ(profile_from_json(text, "test").model, profile.model);
    const std::string name(name_of(collective));
    auto damaged = text;
    damaged.replace(damaged.find("\"" + name + "\""), name.size() + 2, "\"library\"");
    EXPECT_THAT(message_of([&] { profile_from_json(damaged, "test"); }),
                HasSubstr("\"two-shot\" is expected"));
  }
}

// Every single replacement must be noticed, and the message must say where.
TEST(ProfileFile, DamageIsRefused) {
  CollectiveProfile profile = example_profile();
  profile.probed.resize(2);
  const auto text = profile_to_json(profile);
  ASSERT_THAT(text, HasSubstr(R"("segments":[[0,1024,0],[1024,2048,1])"));
  const std::vector<std::array<std::string, 3>> damages = {
      {"profile 1", "profile 2", "format"},
      {"\"ranks\": 4", "\"ranks\": 1", "ranks"},
      {"\"ranks\": 4", "\"ranks\": \"4\"", "ranks"},
      {"\"ranks\": 4", "\"ranks\": 4.5", "ranks"},
      {"\"ranks\": 4", "\"ranks\": 3", "rings"},
      {"\"ranks\": 4,", "", "ranks"},
      {"\"date\"", "\"data\"", "date"},
      {"\"format\"", "\"extra\": 1, \"format\"", "extra"},
      {"\"channels\":[24]", "\"channels\":[]", "channels"},
      {"\"channels\":[24]", "\"channels\":[24,24]", "channels"},
      {"\"channels\":[24]", "\"channels\":[65]", "channels"},
      {"\"rings\":[[0,1,2,3]]", "\"rings\":[[0,1,2,2]]", "rings"},
      {"\"rings\":[[0,1,2,3]]", "\"rings\":[[0,1,2,3],[0,1,2,3]]", "rings"},
      {"\"algorithm\":\"ring\"", "\"algorithm\":\"rings\"", "algorithm"},
      {"\"kind\":\"nccl\"", "\"kind\":\"mccl\"", "kind"},
      {"\"ll\"", "\"lll\"", "spans"},
      {"all-reduce", "all-produce", "operation"},
      {"\"dtype\":\"float32\"", "\"dtype\":\"float31\"", "dtype"},
      {"\"dtype\":\"float32\"", "\"dtype\":\"tf32\"", "dtype"},
      {"\"count\":4096", "\"count\":0", "count"},
      {"\"count\":4096", "\"count\":4097", "segments"},
      {"\"count\":4096", "\"count\":18446744073709551615", "count"},
      {"\"accumulator\":\"message\"", "\"accumulator\":\"bit\"", "accumulator"},
      {"\"model_agrees\":true", "\"model_agrees\":1", "model_agrees"},
      {"\"model_agrees\":true", "\"model_agrees\":true,\"captured\":null", "captured is null; true or false"},
      {"\"model_agrees\":true", "\"model_agrees\":true,\"captured\":1", "captured is 1; true or false"},
      {"((1+2)+3)+0", "((1+2)+3)+3", "trees"},
      {"((1+2)+3)+0", "(1+2)+0", "trees"},
      {"((1+2)+3)+0", "((2+3)+0)+1", "trees"},
      {"[1024,2048,1]", "[1025,2048,1]", "segments"},
      {"[1024,2048,1]", "[1024,1024,1]", "segments"},
      {"[1024,2048,1]", "[1024,2048,2]", "segments"},
      {"[1024,2048,1]", "[1024,2048,0]", "segments"},
      {"[1024,2048,1]", "[1024,2048,-2]", "segments"},
      {"[1024,2048,1]", "[1024,2048]", "segments"},
      {"\"count\":69632", "\"count\":4096", "segments"},
  };
  for (const auto& [from, to, key] : damages) {
    auto damaged = text;
    const auto at = damaged.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    damaged.replace(at, from.size(), to);
    const auto message = message_of([&, &damaged = damaged] { profile_from_json(damaged, "p.json"); });
    EXPECT_THAT(message, HasSubstr("p.json")) << from << " -> " << to;
    EXPECT_THAT(message, HasSubstr(key)) << from << " -> " << to;
  }
  EXPECT_THAT(message_of([&] { profile_from_json("[]", "p.json"); }), HasSubstr("p.json"));
}

TEST(ProfileFile, TheSameMessageTwiceIsRefused) {
  CollectiveProfile profile = example_profile();
  profile.probed = {profile.probed[0], profile.probed[0]};
  EXPECT_THAT(message_of([&] { profile_from_json(profile_to_json(profile), "p.json"); }), HasSubstr("twice"));
}

}  // namespace
}  // namespace shardrift
