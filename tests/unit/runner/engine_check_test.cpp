// An engine that does not answer --check: said whose answer is awaited, and ended.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.hpp"
#include "experiments/runner/engine_check.hpp"
#include "tests/support/wait.hpp"
#include "tests/unit/weights/weight_files.hpp"

namespace shardrift::runner {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Its command waits for what is written into a fifo.
class EngineCheck : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(mkfifo(fifo_.c_str(), 0600), 0);
    const auto script = folder_.write("engine.sh", "cat '" + fifo_ + "'\nexit 0\n");
    study::Configuration one;
    one.name = "other";
    one.engine = {"sh", script.string()};
    one.checks = true;
    one.line = 7;
    one.output = folder_ / "other.h5";
    plan_.configurations.push_back(one);
    study_.file = "study.toml";
  }
  void TearDown() override {
    if (writer_ >= 0) close(writer_);
  }

  // Returns when the engine reads.
  void meet() { writer_ = open(fifo_.c_str(), O_WRONLY | O_CLOEXEC); }

  void require(const Asking& asking) const { require_engines(study_, plan_, {"other"}, {}, asking); }

  TemporaryDirectory folder_;
  const std::string fifo_ = (folder_ / "fifo").string();
  study::Study study_;
  study::StudyPlan plan_;
  int writer_ = -1;
};

TEST_F(EngineCheck, WhoseAnswerIsAwaitedIsSaidOnce) {
  std::vector<std::string> said;
  Asking asking;
  asking.quiet = std::chrono::milliseconds(0);
  asking.say = [&](const std::string& text) {
    said.push_back(text);
    meet();
    close(writer_);  // an end of the file: it answers
    writer_ = -1;
  };
  require(asking);
  EXPECT_THAT(said, ElementsAre(AllOf(
                        HasSubstr("other: waiting for its engine's answer to --check, 60 s at most: sh"),
                        HasSubstr("engine.sh --output"), HasSubstr("--check"))));
}

TEST_F(EngineCheck, WithoutAnAnswerItIsEndedWithAllThatItStarted) {
  Asking asking;
  asking.quiet = asking.limit = std::chrono::milliseconds(0);
  asking.say = [&](const std::string&) { meet(); };
  try {
    require(asking);
    FAIL() << "was taken for an answer";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_data);
    EXPECT_THAT(error.what(), HasSubstr("study.toml:7: other: the engine's command cannot run: no answer to "
                                        "--check in 0 s: sh "));
  }
  pollfd reader{writer_, 0, 0};
  ASSERT_EQ(poll(&reader, 1, static_cast<int>(testing::kLastLimit) * 1000), 1);
  EXPECT_TRUE(reader.revents & POLLERR);  // cat is gone too
}

}  // namespace
}  // namespace shardrift::runner
