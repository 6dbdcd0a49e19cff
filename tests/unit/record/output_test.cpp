// The life of an output: resuming, refusing, overwriting, failing disks, kills.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <functional>

#include "tests/unit/record/example_record.hpp"
#include "tests/unit/record/stepped_child.hpp"

#ifdef __SANITIZE_ADDRESS__
// HDF5 leaks where a file is damaged or a disk full; our own leaks still count.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libhdf5";
}
#endif

namespace shardrift::record {
namespace {

namespace fs = std::filesystem;
using testing::contents;
using ::testing::ElementsAre;
using testing::error_of;
using testing::example_prompt;
using testing::example_run;
using ::testing::HasSubstr;
using testing::replace_contents;
using testing::Scratch;
using ::testing::UnorderedElementsAre;
using testing::write_record;

void add_parts(const WriterOptions& options, const RunInfo& run, const std::vector<std::string>& ids) {
  PartWriter writer(options, run);
  for (std::size_t i = 0; i < ids.size(); ++i)
    writer.add(example_prompt(run, ids[i], static_cast<std::int64_t>(i)));
  writer.finish();
}

class Output : public ::testing::Test {
 protected:
  Scratch scratch_;
  WriterOptions options_{scratch_ / "o.h5", false, 0};
  fs::path parts_ = scratch_ / "o.h5.parts";
  RunInfo run_ = example_run();
  RunInfo other_ = [] {
    RunInfo run = example_run();
    run.resume_key = "key-2";
    return run;
  }();
};

TEST_F(Output, PartsThenWhole) {
  EXPECT_TRUE(prepare_output(options_, run_).empty());
  add_parts(options_, run_, {"a", "b"});
  const Reader parts = Reader::open(scratch_ / "o.h5");  // named as the file it will be
  EXPECT_FALSE(parts.complete());
  EXPECT_THAT(parts.prompt_ids(), ElementsAre("a", "b"));
  std::vector<std::byte> words;
  for (const char* id : {"a", "b", "a"}) {
    parts.read_logits(id, 0, 3, words);
    EXPECT_EQ(words, example_prompt(run_, id, *id - 'a').logits);
  }
  assemble(options_, run_, {});
  EXPECT_FALSE(fs::exists(parts_));
  EXPECT_TRUE(Reader::open(scratch_ / "o.h5").complete());
  assemble(options_, run_, {});  // nothing was left to do
}

TEST_F(Output, ResumesWithTheSameKey) {
  prepare_output(options_, run_);
  add_parts(options_, run_, {"a", "b", "c"});
  replace_contents(parts_ / "b.h5", contents(parts_ / "b.h5").substr(0, 1000));  // never published by us
  replace_contents(parts_ / "d.h5.tmp", "half");
  EXPECT_THAT(prepare_output(options_, run_), UnorderedElementsAre("a", "c"));
  EXPECT_FALSE(fs::exists(parts_ / "b.h5"));
  add_parts(options_, run_, {"x", "b"});
  assemble(options_, run_, {});
  EXPECT_THAT(Reader::open(options_.output).prompt_ids(), UnorderedElementsAre("a", "b", "c", "x"));
  EXPECT_FALSE(fs::exists(parts_));
  EXPECT_THAT(prepare_output(options_, run_), UnorderedElementsAre("a", "b", "c", "x"));
}

TEST_F(Output, RefusesAnotherRunsFileAndParts) {
  write_record(options_.output, run_, {example_prompt(run_, "a", 0)});
  const std::string before = contents(options_.output);
  const Error file = error_of([&] { prepare_output(options_, other_); });
  EXPECT_EQ(file.code(), ExitCode::usage);
  EXPECT_THAT(file.what(), HasSubstr(options_.output.string()));
  EXPECT_THAT(file.what(), HasSubstr("--overwrite"));
  EXPECT_EQ(contents(options_.output), before);

  const WriterOptions second{scratch_ / "p.h5", false, 0};
  prepare_output(second, run_);
  add_parts(second, run_, {"a"});
  const Error parts = error_of([&] { prepare_output(second, other_); });
  EXPECT_EQ(parts.code(), ExitCode::usage);
  EXPECT_THAT(parts.what(), HasSubstr("p.h5.parts"));
  EXPECT_THAT(parts.what(), HasSubstr("--overwrite"));
  EXPECT_TRUE(fs::exists(scratch_ / "p.h5.parts/a.h5"));
}

TEST_F(Output, RefusesAForeignFile) {
  replace_contents(options_.output, "a thesis");
  EXPECT_EQ(error_of([&] { prepare_output(options_, run_); }).code(), ExitCode::usage);
  EXPECT_EQ(contents(options_.output), "a thesis");
  fs::create_directory(scratch_ / "d.h5");
  EXPECT_EQ(error_of([&] { prepare_output({scratch_ / "d.h5", true, 0}, run_); }).code(), ExitCode::usage);
}

TEST_F(Output, OverwriteKeepsTheOldFileUntilTheNewOneIsWhole) {
  write_record(options_.output, run_, {example_prompt(run_, "a", 0)});
  const std::string before = contents(options_.output);
  options_.overwrite = true;
  EXPECT_TRUE(prepare_output(options_, other_).empty());
  add_parts(options_, other_, {"b"});
  EXPECT_EQ(contents(options_.output), before);
  EXPECT_THAT(prepare_output(options_, other_), ElementsAre("b"));  // the same command after an interruption
  assemble(options_, other_, {});
  EXPECT_THAT(Reader::open(options_.output).prompt_ids(), ElementsAre("b"));
  EXPECT_TRUE(prepare_output(options_, other_).empty()) << "--overwrite asks for a new run";
}

TEST_F(Output, OverwriteDiscardsAnotherRunsPartsAndNothingElse) {
  prepare_output(options_, run_);
  add_parts(options_, run_, {"a"});
  replace_contents(parts_ / "notes.txt", "mine");
  options_.overwrite = true;
  EXPECT_TRUE(prepare_output(options_, other_).empty());
  EXPECT_FALSE(fs::exists(parts_ / "a.h5"));
  EXPECT_EQ(contents(parts_ / "notes.txt"), "mine");
}

TEST_F(Output, LeftoversOfAKillBetweenRenameAndRemoval) {
  prepare_output(options_, run_);
  add_parts(options_, run_, {"a"});
  fs::copy(parts_, scratch_ / "kept");
  assemble(options_, run_, {});
  fs::copy(scratch_ / "kept", parts_);
  replace_contents(scratch_ / "o.h5.assembling", "half");
  EXPECT_TRUE(Reader::open(options_.output).complete());
  EXPECT_THAT(prepare_output(options_, run_), ElementsAre("a"));
  EXPECT_FALSE(fs::exists(parts_));
}

TEST_F(Output, StrayPartOfAnotherRunIsNotBelieved) {
  prepare_output(options_, run_);
  add_parts(options_, run_, {"a"});
  const WriterOptions second{scratch_ / "p.h5", false, 0};
  prepare_output(second, other_);
  add_parts(second, other_, {"b"});
  fs::copy(scratch_ / "p.h5.parts/b.h5", parts_ / "b.h5");
  EXPECT_EQ(error_of([&] { Reader::open(options_.output); }).code(), ExitCode::bad_data);
  EXPECT_THAT(prepare_output(options_, run_), ElementsAre("a"));
}

TEST_F(Output, NoDirectoryIsOneClearFailure) {
  const Error error = error_of([&] { prepare_output({scratch_ / "no/o.h5", false, 0}, run_); });
  EXPECT_EQ(error.code(), ExitCode::failure);
  EXPECT_THAT(error.what(), HasSubstr("create it"));
  const Error readonly = error_of([&] { prepare_output({"/proc/o.h5", false, 0}, run_); });
  EXPECT_EQ(readonly.code(), ExitCode::failure);
  EXPECT_THAT(readonly.what(), HasSubstr("/proc/o.h5.parts"));
}

TEST_F(Output, RefusesRecordsThatDoNotFit) {
  prepare_output(options_, run_);
  PartWriter writer(options_, run_);
  auto record = example_prompt(run_, "a", 0);
  record.logits.pop_back();
  EXPECT_THAT(error_of([&] { writer.add(record); }).what(), HasSubstr("bytes of logits"));
  record = example_prompt(run_, "a/b", 0);
  EXPECT_EQ(error_of([&] { writer.add(record); }).code(), ExitCode::usage);
  record = example_prompt(run_, "a", 0);
  record.top.ids.pop_back();
  EXPECT_THAT(error_of([&] { writer.add(record); }).what(), HasSubstr("top holds"));
  writer.finish();
  EXPECT_THAT(error_of([&] { writer.add(example_prompt(run_, "b", 0)); }).what(), HasSubstr("finished"));
}

TEST_F(Output, DestructorWritesWhatWasAdded) {
  prepare_output(options_, run_);
  {
    PartWriter writer(options_, run_);
    for (int i = 0; i < 6; ++i) writer.add(example_prompt(run_, fmt::format("p{}", i), i));
  }
  EXPECT_EQ(prepare_output(options_, run_).size(), 6U);
}

// A reader of one record and the writer's thread of another share the library.
TEST_F(Output, ReadingWhileWriting) {
  write_record(scratch_ / "ref.h5", run_, {example_prompt(run_, "a", 0)});
  prepare_output(options_, run_);
  PartWriter writer(options_, run_);
  for (int i = 0; i < 20; ++i) {
    writer.add(example_prompt(run_, fmt::format("p{}", i), i));
    const Reader reader = Reader::open(scratch_ / "ref.h5");
    std::vector<std::byte> words;
    reader.read_logits("a", 0, 3, words);
    ASSERT_EQ(words, example_prompt(run_, "a", 0).logits);
  }
  writer.finish();
  EXPECT_EQ(prepare_output(options_, run_).size(), 20U);
}

// In a child, because limits and what a failed write leaves in the library are the process's.
template <typename Body>
int in_child(Body&& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    int code = 99;
    try {
      code = body();
    } catch (...) {
      code = 98;
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

// "a" is written, then space runs out while "b" is. 0: b's error is clear and a is whole.
int fill_the_disk(const WriterOptions& options, const RunInfo& run, const std::function<void()>& shrink) {
  prepare_output(options, run);
  add_parts(options, run, {"a"});
  shrink();
  int code = 10;
  try {
    PartWriter writer(options, run);
    writer.add(example_prompt(run, "b", 1, 4000));
    writer.finish();
  } catch (const Error& error) {
    const std::string text = error.what();
    code = 0;
    if (error.code() != ExitCode::failure) code = 11;
    if (text.find("b.h5") == std::string::npos) code = 12;
    if (text.find("No space left") == std::string::npos && text.find("File too large") == std::string::npos) {
      std::fprintf(stderr, "%s\n", text.c_str());
      code = 13;
    }
  }
  if (fs::exists(options.output.string() + ".parts/b.h5")) code = 14;
  if (fs::exists(options.output.string() + ".parts/b.h5.tmp")) code = 15;
  if (prepare_output(options, run) != std::set<std::string>{"a"}) code = 16;
  return code;
}

TEST_F(Output, FileSizeLimitIsAFailureThatLosesNothing) {
  EXPECT_EQ(in_child([&] {
              return fill_the_disk(options_, run_, [] {
                std::signal(SIGXFSZ, SIG_IGN);
                const rlimit limit{64 << 10, 64 << 10};
                ::setrlimit(RLIMIT_FSIZE, &limit);
              });
            }),
            0);
  EXPECT_THAT(prepare_output(options_, run_), ElementsAre("a"));
}

TEST_F(Output, FullDiskIsAFailureThatLosesNothing) {
  const fs::path disk = scratch_ / "disk";
  fs::create_directory(disk);
  if (::mount("none", disk.c_str(), "tmpfs", 0, "size=128k") != 0) GTEST_SKIP() << "needs the right to mount";
  options_.output = disk / "o.h5";
  EXPECT_EQ(in_child([&] { return fill_the_disk(options_, run_, [] {}); }), 0);
  EXPECT_EQ(in_child([&] {  // room for the parts, none for the assembly
              add_parts(options_, run_, {"c"});
              std::string filler;
              const int file = ::open((disk / "filler").c_str(), O_CREAT | O_WRONLY, 0600);
              while (::write(file, "x", 1) == 1) {
              }
              try {
                assemble(options_, run_, {});
              } catch (const Error& error) {
                if (error.code() != ExitCode::failure) return 21;
                if (std::string(error.what()).find("No space left") == std::string::npos) return 22;
                if (fs::exists(disk / "o.h5") || fs::exists(disk / "o.h5.assembling")) return 23;
                ::unlink((disk / "filler").c_str());
                return prepare_output(options_, run_).size() == 2 ? 0 : 24;
              }
              return 25;
            }),
            0);
  ::umount2(disk.c_str(), MNT_DETACH);
}

// Wherever in the file the space runs out: an error, or everything is there. HDF5 reports some of these late.
TEST_F(Output, EveryDiskSizeIsEitherEnoughOrAFailure) {
  const fs::path disk = scratch_ / "disk";
  fs::create_directory(disk);
  options_.output = disk / "o.h5";
  int whole = 0;
  int failed = 0;
  for (int kib = 8; kib <= 640; kib += 8) {
    const std::string size = fmt::format("size={}k", kib);
    if (::mount("none", disk.c_str(), "tmpfs", 0, size.c_str()) != 0)
      GTEST_SKIP() << "needs the right to mount";
    const int code = in_child([&] {
      try {
        write_record(options_.output, run_,
                     {example_prompt(run_, "a", 0, 900), example_prompt(run_, "b", 1, 900)});
      } catch (const Error& error) {
        return error.code() == ExitCode::failure ? 1 : 2;
      }
      const Reader reader = Reader::open(options_.output);
      std::vector<std::byte> words;
      for (const char* id : {"a", "b"}) {
        (void)reader.prompt(id);
        reader.read_logits(id, 0, 900, words);
        if (words != example_prompt(run_, id, *id - 'a', 900).logits) return 3;
      }
      return 0;
    });
    EXPECT_LE(code, 1) << size;
    ++(code == 0 ? whole : failed);
    ::umount2(disk.c_str(), MNT_DETACH);
  }
  EXPECT_GT(whole, 5);
  EXPECT_GT(failed, 20);
}

// kill -9 at any moment: every prompt that was reported finished is readable, and the same command goes on.
TEST_F(Output, KillAtManyMoments) {
  constexpr int kPrompts = 6;
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_NONBLOCK), 0);
  const auto command = [&] {
    const auto done = prepare_output(options_, run_);
    for (int i = 0; i < kPrompts; ++i) {
      const std::string id = fmt::format("p{}", i);
      if (done.count(id) != 0) continue;
      PartWriter writer(options_, run_);
      writer.add(example_prompt(run_, id, i, 40));
      writer.finish();
      const char told = static_cast<char>('0' + i);
      if (::write(pipe[1], &told, 1) != 1) ::_exit(1);
    }
    assemble(options_, run_, {});
    if (::write(pipe[1], "!", 1) != 1) ::_exit(1);
  };
  const auto undisturbed = testing::run_stepped(command, 0);
  ASSERT_EQ(undisturbed.code, 0);
  ASSERT_GT(undisturbed.stops, 100);
  char one = 0;
  while (::read(pipe[0], &one, 1) == 1) {
  }
  fs::remove(options_.output);

  std::mt19937 random(7);
  std::size_t resumed = 0;
  int finished = 0;
  for (int attempt = 0; attempt < 80; ++attempt) {
    const auto moment = 1 + static_cast<long>(random() % static_cast<unsigned long>(2 * undisturbed.stops));
    const auto stepped = testing::run_stepped(command, moment);
    ASSERT_EQ(stepped.code, 0);
    std::set<std::string> told;
    bool assembled = false;
    while (::read(pipe[0], &one, 1) == 1) {
      assembled = assembled || one == '!';
      if (one != '!') told.insert(fmt::format("p{}", one));
    }
    ASSERT_TRUE(stepped.killed || assembled);
    const auto kept = prepare_output(options_, run_);
    for (const auto& id : told) ASSERT_EQ(kept.count(id), 1U) << id << " was lost in attempt " << attempt;
    resumed += kept.empty() ? 0 : 1;
    if (kept.empty()) continue;
    const Reader reader = Reader::open(options_.output);
    if (assembled) {
      ASSERT_TRUE(reader.complete());
      ASSERT_FALSE(fs::exists(parts_));
    }
    std::vector<std::byte> words;
    for (const auto& id : kept) {
      reader.read_logits(id, 0, 40, words);
      ASSERT_EQ(words, example_prompt(run_, id, id.back() - '0', 40).logits);
    }
    if (!reader.complete()) continue;
    ASSERT_EQ(kept.size(), static_cast<std::size_t>(kPrompts));
    ++finished;
    fs::remove(options_.output);
  }
  ::close(pipe[0]);
  ::close(pipe[1]);
  EXPECT_GT(resumed, 20U) << "the kills came too early to test anything";
  EXPECT_GT(finished, 2) << "no run got to its end";
}

}  // namespace
}  // namespace shardrift::record
