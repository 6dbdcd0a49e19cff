// gate --certificate and --verify: what was certified is found again under any name, and whatever differs is
// said in one line.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "analysis/verdict/certificate.hpp"
#include "analysis/verdict/thresholds_json.hpp"
#include "common/error.hpp"
#include "common/hash.hpp"
#include "tests/unit/verdict/gate_fixture.hpp"

namespace shardrift::verdict {
namespace {

using record::testing::contents;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
namespace fs = std::filesystem;

class CertificateTest : public testing::GateProgram {
 protected:
  // Records and certificates are made once, and copied.
  void SetUp() override {
    static const auto made = std::make_unique<record::testing::Scratch>();
    constexpr auto kAll = fs::copy_options::recursive | fs::copy_options::overwrite_existing;
    if (!fs::exists(made->path() / "all.json")) {
      make();
      if (!HasFatalFailure()) fs::copy(scratch_.path(), made->path(), kAll);
    } else {
      fs::copy(made->path(), scratch_.path(), kAll);
    }
  }
  void make() {
    GateProgram::SetUp();
    auto two = analysis::testing::small_run(DType::float32, 2);
    two.environment.collectives = {{"all-reduce",
                                    4,
                                    "float32",
                                    2,
                                    "mpi",
                                    "Open MPI v4.1.4",
                                    "recursive-doubling",
                                    "",
                                    "",
                                    "",
                                    "model",
                                    false,
                                    {{0, 4, 0}},
                                    {"0+1"}}};
    fs::remove(scratch_ / "tp2.h5");
    write("tp2.h5", two, 0.5F);
    ASSERT_EQ(run("one.h5 again.h5 --noise-floor again.h5 --preset bitwise --certificate equal.json"), 0)
        << error_;
    ASSERT_EQ(run("one.h5 tp2.h5 again.h5 --noise-floor again.h5 --yardstick int8.h5 --truth again.h5 "
                  "--certificate all.json"),
              1)
        << error_ << out_;
  }
  nlohmann::json json(const std::string& name) { return nlohmann::json::parse(contents(scratch_ / name)); }
  void write_text(const std::string& name, const std::string& text) {
    std::ofstream(scratch_ / name, std::ios::binary) << text;
  }
  // With a hash that fits, as somebody would make it who forges a certificate.
  void write_forged(const std::string& name, nlohmann::json certificate) {
    certificate.erase("sha256");
    certificate["sha256"] = sha256_hex(certificate.dump());
    write_text(name, certificate.dump());
  }
  // 65, one line on standard error.
  void expect_refused(const std::string& arguments, const std::string& words) {
    EXPECT_EQ(run(arguments), 65) << arguments << out_ << error_;
    EXPECT_THAT(error_, AllOf(StartsWith("shardrift: "), HasSubstr(words)));
    EXPECT_EQ(std::count(error_.begin(), error_.end(), '\n'), 1) << error_;
    EXPECT_EQ(out_, "");
  }
};

TEST_F(CertificateTest, SaysWhatWasJudged) {
  const auto all = json("all.json");
  EXPECT_EQ(all.at("schema"), "shardrift certificate 1");
  EXPECT_EQ(all.at("verdict").at("exit_code"), 1);
  EXPECT_EQ(all.at("thresholds").at("source"), "preset serving");
  EXPECT_EQ(all.at("thresholds").at("limits").at("kl_mean"), 0.01);
  std::vector<std::string> roles;
  for (const auto& one : all.at("records"))
    roles.push_back(one.at("role").get<std::string>() + " " + one.at("file").get<std::string>());
  EXPECT_THAT(roles, ::testing::ElementsAre("reference one.h5", "candidate tp2.h5", "candidate again.h5",
                                            "noise floor again.h5", "yardstick int8.h5", "truth again.h5"));
  EXPECT_EQ(all.at("records")[1].at("sha256"), sha256_hex(contents(scratch_ / "tp2.h5")));
  EXPECT_EQ(all.at("records")[1].at("order_maps")[0].at("order"), sha256_hex("[0, 4) 0+1\n"));
  // Any JSON library can hash it again: Python's json.dumps(sort_keys=True, separators=(",", ":")).
  auto rest = all;
  rest.erase("sha256");
  EXPECT_EQ(all.at("sha256"), sha256_hex(rest.dump()));
  const fs::path folder = SHARDRIFT_BINARY_DIR "/tests/certificate-json";  // for json_schema.py
  fs::create_directories(folder);
  for (const char* name : {"all.json", "equal.json"})
    fs::copy_file(scratch_ / name, folder / name, fs::copy_options::overwrite_existing);
}

TEST_F(CertificateTest, IsVerifiedWithTheVerdictsExitCode) {
  EXPECT_EQ(run("--verify equal.json one.h5 again.h5"), 0) << error_;
  EXPECT_THAT(out_,
              HasSubstr("verified: equal.json: 3 records as they were, judged again with the same result"));
  EXPECT_EQ(run("--verify all.json one.h5 tp2.h5 again.h5 int8.h5"), 1) << error_;
  // By their content: other names, another order, flags or not.
  fs::create_directories(scratch_ / "kept");
  for (const auto& [from, to] : std::map<std::string, std::string>{
           {"one.h5", "a.h5"}, {"tp2.h5", "b.h5"}, {"again.h5", "c.h5"}, {"int8.h5", "d.h5"}})
    fs::rename(scratch_ / from, scratch_ / "kept" / to);
  EXPECT_EQ(run("--verify all.json kept/d.h5 kept/c.h5 --truth kept/b.h5 --noise-floor kept/a.h5"), 1)
      << error_;
  EXPECT_THAT(out_, HasSubstr("verified: all.json: 6 records"));
}

TEST_F(CertificateTest, AChangedBitOfARecordIsNoticed) {
  const auto original = contents(scratch_ / "tp2.h5");
  for (const std::size_t at :
       {std::size_t{9}, original.size() / 3, original.size() / 2, original.size() - 1}) {
    auto changed = original;
    changed[at] ^= 1;
    write_text("tp2.h5", changed);
    expect_refused("--verify all.json one.h5 tp2.h5 again.h5 int8.h5",
                   "tp2.h5: is not the candidate that all.json is of");
  }
  write_text("tp2.h5", original);
  EXPECT_EQ(run("--verify all.json one.h5 tp2.h5 again.h5 int8.h5"), 1) << error_;
}

TEST_F(CertificateTest, FilesThatAreMissingOrTooManyAreNamed) {
  expect_refused("--verify all.json one.h5 tp2.h5 again.h5", "its yardstick int8.h5 (SHA-256 ");
  expect_refused("--verify equal.json one.h5 again.h5 tp2.h5", "tp2.h5: equal.json is not of this file");
  expect_refused("--verify equal.json one.h5 none.h5", "none.h5: cannot be read: No such file");
  expect_refused("--verify none.json one.h5 again.h5", "none.json: no such file");
}

TEST_F(CertificateTest, AnEditedOneIsNoticed) {
  auto edited = json("all.json");
  edited["verdict"]["state"] = "pass";
  write_text("edited.json", edited.dump());
  const std::string files = " one.h5 tp2.h5 again.h5 int8.h5";
  expect_refused("--verify edited.json" + files, "edited.json: was edited: ");
  // Hashed anew it is another certificate: judging again tells.
  write_forged("forged.json", edited);
  expect_refused(
      "--verify forged.json" + files,
      "forged.json: the same files are judged otherwise: verdict state was \"pass\" and is \"fail\"");
  auto limits = json("all.json");
  limits["thresholds"]["limits"]["delta_p_mean"] = 0.5;
  write_forged("named.json", limits);
  expect_refused("--verify named.json" + files,
                 "named.json: says preset serving, has other limits: limits delta_p_mean was 0.5 and is ");
  limits["thresholds"]["source"] = "preset lax";
  write_forged("named.json", limits);
  expect_refused("--verify named.json" + files,
                 "named.json: thresholds source: preset 'lax': there are bitwise");
  limits["thresholds"]["source"] = "own.toml";
  write_forged("limits.json", limits);
  expect_refused("--verify limits.json" + files, "candidates[0] limits delta_p_mean state was");
  auto value = json("all.json");
  auto& measured = value["verdict"]["candidates"][0]["limits"]["kl_mean"]["value"];
  measured = measured.get<double>() * (1 + 1e-12);  // another processor's last digits
  write_forged("digits.json", value);
  EXPECT_EQ(run("--verify digits.json" + files), 1) << error_;
  measured = measured.get<double>() * (1 + 1e-6);
  write_forged("value.json", value);
  expect_refused("--verify value.json" + files, "candidates[0] limits kl_mean value was ");
}

// Whatever the files tell is compared with them; when it was made and by which version nobody can tell.
TEST_F(CertificateTest, EveryPartThatCanBeMadeAgainIs) {
  const std::string files = " one.h5 again.h5";
  const auto all = json("equal.json").flatten();
  int compared = 0;
  for (const auto& [pointer, value] : all.items()) {
    const bool of_record = pointer.starts_with("/records/1/") && !pointer.ends_with("/role") &&
                           !pointer.ends_with("/file") && !pointer.ends_with("/sha256");
    if (!of_record && pointer != "/answer") continue;
    auto forged = json("equal.json");
    auto& part = forged[nlohmann::json::json_pointer(pointer)];
    part = value.is_number() ? nlohmann::json(value.get<std::int64_t>() + 1) : nlohmann::json("another");
    write_forged("forged.json", forged);
    expect_refused("--verify forged.json" + files, "forged.json: the same files are judged otherwise: ");
    ++compared;
  }
  EXPECT_GE(compared, 7 + 1);
  for (const char* pointer : {"/note", "/records/0/note", "/verdict/note", "/verdict/candidates/0/note"}) {
    auto forged = json("equal.json");
    forged[nlohmann::json::json_pointer(pointer)] = "fit for use";
    write_forged("forged.json", forged);
    expect_refused("--verify forged.json" + files, "note is not there any more");
  }
  auto orders = json("all.json");
  orders["records"][1]["order_maps"][0]["order"] = std::string(64, 'a');
  write_forged("forged.json", orders);
  expect_refused("--verify forged.json one.h5 tp2.h5 again.h5 int8.h5", "records[1] order_maps[0] order was");
  auto later = json("equal.json");
  later["created"] = "2030-01-01T00:00:00Z";
  later["version"] = "99";
  later["records"][1]["file"] = "other.h5";
  write_forged("later.json", later);
  EXPECT_EQ(run("--verify later.json" + files), 0) << error_;
}

// Candidates of one name in several folders: the answer has no folders.
TEST_F(CertificateTest, NamesAreThoseOfTheFiles) {
  for (const char* folder : {"x", "y"}) fs::create_directory(scratch_ / folder);
  fs::copy_file(scratch_ / "tp2.h5", scratch_ / "x" / "run.h5");
  fs::copy_file(scratch_ / "int8.h5", scratch_ / "y" / "run.h5");
  ASSERT_EQ(run("one.h5 x/run.h5 y/run.h5 --certificate two.json"), 1) << error_;
  EXPECT_THAT(json("two.json").at("answer").get<std::string>(), Not(HasSubstr("x/run")));
  EXPECT_EQ(run("--verify two.json one.h5 y/run.h5 x/run.h5"), 1) << error_;
  EXPECT_EQ(run("--verify two.json tp2.h5 int8.h5 one.h5"), 1) << error_;
}

// Limits that nobody asked for let anything pass, and are hashed as well as others.
TEST_F(CertificateTest, MayBeAskedForItsLimits) {
  EXPECT_EQ(run("--verify equal.json one.h5 again.h5 --preset bitwise"), 0) << error_;
  expect_refused(
      "--verify equal.json one.h5 again.h5 --preset strict",
      "equal.json: was judged by other limits than asked for: limits changed_prompts was not there");
  ASSERT_NE(run("one.h5 again.h5 --preset serving --certificate serving.json"), 1);
  write_text("own.toml", "preset = \"serving\"\n[limits]\nkl_mean = 0.02\n");
  expect_refused("--verify serving.json one.h5 again.h5 --thresholds own.toml",
                 "limits kl_mean was 0.01 and is 0.02");
}

TEST_F(CertificateTest, HostileOnesAreRefusedInOneLine) {
  const auto good = contents(scratch_ / "equal.json");
  const std::string files = " one.h5 again.h5";
  const auto refused = [&](const std::string& text, const std::string& words) {
    write_text("bad.json", text);
    expect_refused("--verify bad.json" + files, words);
  };
  refused("", "bad.json: ");
  refused("[]", "bad.json: ");
  refused("{}", "schema is missing");
  for (std::size_t i = 1; i < 12; ++i) refused(good.substr(0, i * good.size() / 12), "bad.json: ");
  refused(R"({"schema": "shardrift certificate 2"})", "this program reads \"shardrift certificate 1\"");
  refused(R"({"schema": 1})", "schema is 1");
  refused(R"({"schema": "shardrift certificate 1", "sha256": "abc"})", "64 lower-case digits");
  refused(std::string(100000, '['), "bad.json: ");
  const auto forged = [&](const std::string& pointer, const nlohmann::json& value, const std::string& words) {
    auto certificate = json("equal.json");
    certificate[nlohmann::json::json_pointer(pointer)] = value;
    write_forged("forged.json", certificate);
    expect_refused("--verify forged.json" + files, words);
  };
  forged("/records", nlohmann::json::array(), "records is []");
  forged("/records/0/role", "candidate", "one reference, a candidate or more");
  forged("/records/0/role", "judge", "reference, candidate, noise floor, yardstick");
  forged("/records/1/sha256", std::string(64, 'Z'), "64 lower-case digits");
  forged("/thresholds/limits", nlohmann::json::object(), "limits is {}");
  forged("/thresholds/limits/bit_equal", false, "true is expected");
  forged("/thresholds/limits/maen", 1, "unknown key \"maen\"");
  forged("/thresholds/resamples", 2000000000, "resamples is 2000000000");
  forged("/thresholds/confidence", 1.5, "confidence is 1.5");
  forged("/verdict", 3, "verdict is 3");
  forged("/verdict/candidates", nlohmann::json::array(), "candidates was [] and is ");
  // A huge one, a folder, a pipe.
  fs::resize_file(scratch_ / "bad.json", std::uintmax_t{1} << 40);
  expect_refused("--verify bad.json" + files, "bad.json: ");
  fs::create_directory(scratch_ / "folder");
  expect_refused("--verify folder" + files, "folder: not a regular file");
  ASSERT_EQ(mkfifo((scratch_ / "pipe").c_str(), 0600), 0);
  expect_refused("--verify equal.json one.h5 pipe", "pipe: is no finished record");
  EXPECT_EQ(run("one.h5 folder --certificate x.json"), 65);
  EXPECT_FALSE(fs::exists(scratch_ / "x.json"));
}

TEST_F(CertificateTest, IsNeverWrittenOverWhatIsRead) {
  for (const char* arguments :
       {"one.h5 tp2.h5 --certificate tp2.h5", "one.h5 tp2.h5 --truth again.h5 --certificate again.h5",
        "one.h5 again.h5 --verify equal.json --json equal.json",
        "one.h5 tp2.h5 --json c.json --certificate c.json",
        "one.h5 again.h5 --verify equal.json --certificate c.json",
        "one.h5 again.h5 --verify equal.json --preset lax"}) {
    EXPECT_EQ(run(arguments), 64) << arguments << error_;
    EXPECT_THAT(error_, StartsWith("shardrift: "));
  }
  EXPECT_EQ(run("one.h5 tp2.h5 --certificate none/c.json"), 70);
  EXPECT_EQ(run("--verify equal.json one.h5 again.h5"), 0) << error_;
}

TEST_F(CertificateTest, AnUnfinishedRecordIsSaidToBeOne) {
  fs::create_directory(scratch_ / "half.h5.parts");
  expect_refused(
      "one.h5 half.h5 --certificate c.json",
      "half.h5: is not finished, there is only half.h5.parts: a certificate is of finished records");
  expect_refused("--verify equal.json one.h5 half.h5",
                 "half.h5: is not finished, there is only half.h5.parts");
}

// An option that a script left empty would check nothing, or write nothing.
TEST_F(CertificateTest, NoOptionIsEmpty) {
  for (const std::string option : {"--verify", "--certificate", "--preset", "--thresholds", "--truth",
                                   "--noise-floor", "--yardstick", "--json", "--csv", "--html"}) {
    for (const std::string empty : {" ''", "=''"}) {
      EXPECT_EQ(run("one.h5 again.h5 " + option + empty), 64) << option << empty << out_;
      EXPECT_THAT(error_, AllOf(StartsWith("shardrift: gate: "), HasSubstr(option))) << empty;
    }
  }
}

// A kept measurement is not what is certified: it could be anything.
TEST_F(CertificateTest, IsMeasuredFromTheRecords) {
  ASSERT_EQ(run("one.h5 tp2.h5 --preset bitwise"), 1);
  ASSERT_EQ(run("one.h5 again.h5 --preset bitwise"), 0);
  fs::copy_file(scratch_ / "again.vs.one.metrics", scratch_ / "tp2.vs.one.metrics",
                fs::copy_options::overwrite_existing);
  const auto before = fs::last_write_time(scratch_ / "tp2.vs.one.metrics");
  EXPECT_EQ(run("one.h5 tp2.h5 --preset bitwise --certificate c.json"), 1) << error_;
  EXPECT_THAT(error_, Not(HasSubstr("metrics")));
  EXPECT_EQ(fs::last_write_time(scratch_ / "tp2.vs.one.metrics"), before);
}

TEST(ThresholdsJson, ComeBackAsTheyWere) {
  auto own = parse_thresholds(
      "preset = \"strict\"\n[data]\nprompts = 7\ntokens = 9\nconfidence = 0.9\nresamples = 300\nseed = 5\n"
      "[limits]\nyardstick = 0.5\nbit_equal = true\n[recommend]\ncost_slack = 2\n",
      "own.toml");
  for (const auto& thresholds : {preset("bitwise"), preset("strict"), preset("serving"), own}) {
    const auto json = nlohmann::json::parse(thresholds_json(thresholds).dump());
    const auto back = thresholds_from_json(JsonObject(json, "x"));
    EXPECT_EQ(thresholds_json(back).dump(), thresholds_json(thresholds).dump());
    EXPECT_EQ(back.limits.size(), thresholds.limits.size());
  }
}

}  // namespace
}  // namespace shardrift::verdict
