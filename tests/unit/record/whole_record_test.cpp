// A record is whole: parts that are damaged, missing or another prompt's are run again, never assembled
// around; a complete record that lacks something is mended; an edit is found. One writer at a time.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <hdf5.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <random>

#include "common/argmax.hpp"
#include "record/output_lock.hpp"
#include "record/verify.hpp"
#include "tests/unit/record/example_record.hpp"

namespace shardrift::record {
namespace {

namespace fs = std::filesystem;
using testing::add_sketches;
using testing::add_traces;
using testing::contents;
using ::testing::ElementsAre;
using testing::error_of;
using testing::example_prompt;
using testing::example_run;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::replace_contents;
using testing::Scratch;
using ::testing::UnorderedElementsAre;

class WholeRecord : public ::testing::Test {
 protected:
  WholeRecord() {
    for (std::int64_t i = 0; i < 4; ++i) {
      auto prompt = example_prompt(run_, std::string(1, static_cast<char>('a' + i)), i);
      if (i == 1) add_traces(prompt, DType::bfloat16);
      options_.prompts.push_back(prompt.prompt);
      records_.push_back(std::move(prompt));
    }
  }

  void add(const std::set<std::string>& ids) {
    PartWriter writer(options_, run_);
    for (const auto& record : records_)
      if (ids.contains(record.prompt.id)) writer.add(record);
    writer.finish();
  }
  void record_all() {
    prepare_output(options_, run_);
    add({"a", "b", "c", "d"});
    assemble(options_, run_, {1, 2, 3, 4, 5});
  }
  // Another logit, written with the library, so that HDF5's own checksums are right.
  void edit_logit(const std::string& id) {
    const auto file = H5Fopen(options_.output.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    const auto set = H5Dopen2(file, ("prompts/" + id + "/logits").c_str(), H5P_DEFAULT);
    std::vector<float> words(3 * 7, 0.5F);
    EXPECT_GE(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, words.data()), 0);
    H5Dclose(set);
    H5Fclose(file);
  }

  Scratch scratch_;
  RunInfo run_ = example_run();
  WriterOptions options_{scratch_ / "o.h5"};
  fs::path parts_ = scratch_ / "o.h5.parts";
  std::vector<PromptRecord> records_;
};

TEST_F(WholeRecord, EveryFlippedBitOfAPartIsFound) {
  prepare_output(options_, run_);
  add({"a", "b"});
  const auto whole = contents(parts_ / "b.h5");
  std::mt19937 random(3);
  for (int i = 0; i < 400; ++i) {
    auto flipped = whole;
    auto& byte = flipped[random() % flipped.size()];
    byte = static_cast<char>(byte ^ (1 << (random() % 8)));
    replace_contents(parts_ / "b.h5", flipped);
    ASSERT_THAT(missing_prompts(options_, run_), ElementsAre("b", "c", "d")) << i;
    ASSERT_FALSE(fs::exists(parts_ / "b.h5"));
    replace_contents(parts_ / "b.h5", flipped);
    ASSERT_THAT(prepare_output(options_, run_), ElementsAre("a")) << i;
  }
  replace_contents(parts_ / "b.h5", whole);
  EXPECT_THAT(prepare_output(options_, run_), ElementsAre("a", "b"));
}

TEST_F(WholeRecord, IsNotAssembledAroundAMissingPrompt) {
  prepare_output(options_, run_);
  add({"a", "b", "d"});
  EXPECT_THAT(missing_prompts(options_, run_), ElementsAre("c"));
  const auto error = error_of([&] { assemble(options_, run_, {}); });
  EXPECT_EQ(error.code(), ExitCode::failure);
  EXPECT_THAT(error.what(), HasSubstr("1 of 4 prompts have no part"));
  EXPECT_THAT(error.what(), HasSubstr("'c'"));
  EXPECT_FALSE(fs::exists(options_.output));
  add({"c"});
  EXPECT_THAT(missing_prompts(options_, run_), IsEmpty());
  assemble(options_, run_, {});
  EXPECT_THAT(Reader::open(options_.output).prompt_ids(), ElementsAre("a", "b", "c", "d"));
}

TEST_F(WholeRecord, APartOfAnotherPromptIsNotBelieved) {
  prepare_output(options_, run_);
  add({"a", "b"});
  auto other = options_;
  other.prompts[1].tokens.push_back(3);
  EXPECT_THAT(missing_prompts(other, run_), ElementsAre("b", "c", "d"));
  fs::copy_file(parts_ / "a.h5", parts_ / "c.h5");  // sealed, and under another name
  fs::copy_file(parts_ / "a.h5", parts_ / "stranger.h5");
  EXPECT_THAT(prepare_output(options_, run_), ElementsAre("a"));
  EXPECT_FALSE(fs::exists(parts_ / "c.h5"));
  EXPECT_FALSE(fs::exists(parts_ / "stranger.h5"));
}

TEST_F(WholeRecord, ADamagedOrMissingHeaderIsWrittenAnew) {
  prepare_output(options_, run_);
  add({"a", "b"});
  const auto header = contents(parts_ / "+run.h5");
  std::mt19937 random(4);
  for (int i = 0; i < 40; ++i) {
    auto damaged = header;
    auto& byte = damaged[random() % damaged.size()];
    byte = static_cast<char>(byte ^ (1 << (random() % 8)));
    if (i == 0) damaged.clear();
    replace_contents(parts_ / "+run.h5", damaged);
    if (i == 1) fs::remove(parts_ / "+run.h5");
    ASSERT_THAT(prepare_output(options_, run_), ElementsAre("a", "b")) << i;
    ASSERT_TRUE(contents(parts_ / "+run.h5") == header) << i;
  }
  // The parts' own word counts there: another run's are refused.
  fs::remove(parts_ / "+run.h5");
  RunInfo other = run_;
  other.resume_key = "key-2";
  EXPECT_EQ(error_of([&] { prepare_output(options_, other); }).code(), ExitCode::usage);
  EXPECT_TRUE(fs::exists(parts_ / "a.h5"));
}

TEST_F(WholeRecord, ACompleteOneThatLacksPromptsIsMended) {
  auto shorter = options_;
  shorter.prompts.erase(shorter.prompts.begin() + 2);
  prepare_output(shorter, run_);
  add({"a", "b", "d"});
  assemble(shorter, run_, {});
  EXPECT_THAT(prepare_output(options_, run_), ElementsAre("a", "b", "d"));
  EXPECT_TRUE(fs::exists(options_.output)) << "it stays until the new one is whole";
  add({"c"});
  EXPECT_THAT(missing_prompts(options_, run_), IsEmpty());
  assemble(options_, run_, {});
  const Reader reader = Reader::open(options_.output);
  EXPECT_THAT(reader.prompt_ids(), ElementsAre("a", "b", "c", "d"));
  for (const auto& record : records_) {
    EXPECT_TRUE(verify_prompt(reader, record.prompt.id)) << record.prompt.id;
    std::vector<std::byte> words;
    reader.read_logits(record.prompt.id, 0, 3, words);
    EXPECT_TRUE(words == record.logits) << record.prompt.id;
  }
  EXPECT_THAT(prepare_output(options_, run_), ElementsAre("a", "b", "c", "d"));
  EXPECT_FALSE(fs::exists(parts_));
}

TEST_F(WholeRecord, AnEditedPromptOfACompleteOneRunsAgainAlone) {
  record_all();
  const auto before = contents(options_.output);
  edit_logit("c");
  {
    const Reader reader = Reader::open(options_.output);
    EXPECT_TRUE(verify_prompt(reader, "b"));
    const auto error = error_of([&] { verify_prompt(reader, "c"); });
    EXPECT_EQ(error.code(), ExitCode::bad_data);
    EXPECT_THAT(error.what(), HasSubstr("o.h5: /prompts/c/logits: SHA-256"));
  }
  EXPECT_THAT(prepare_output(options_, run_), ElementsAre("a", "b", "d"));
  add({"c"});
  assemble(options_, run_, {1, 2, 3, 4, 5});
  EXPECT_TRUE(contents(options_.output) == before) << "mended, it is the file it was";
}

TEST_F(WholeRecord, TheContentHashIsOfEverythingInThePrompt) {
  auto prompt = example_prompt(run_, "a", 0);
  add_traces(prompt, DType::float32);
  const auto hash_of = [&](const PromptRecord& record) {
    Scratch scratch;
    testing::write_record(scratch / "o.h5", run_, {record});
    const auto reader = Reader::open(scratch / "o.h5");
    EXPECT_TRUE(verify_prompt(reader, "a"));
    return reader.prompt("a").content;
  };
  const auto usual = hash_of(prompt);
  EXPECT_EQ(hash_of(prompt), usual);
  const std::vector<std::function<void(PromptRecord&)>> changes{
      [](auto& r) { r.prompt.index = 5; },
      [](auto& r) { r.prompt.text += "."; },
      [](auto& r) { r.prompt.source = "tokens"; },
      [](auto& r) { r.prompt.tokens.back() = 6; },
      [](auto& r) { r.stop = "eos"; },
      [](auto& r) { r.status = "other"; },
      [](auto& r) { r.device = "x"; },
      [](auto& r) { r.replica = 0; },
      [](auto& r) {
        r.prefilled_with = {"a", "b"};
      },
      [](auto& r) {
        r.prefilled_with = {"b", "a"};
      },
      [](auto& r) {
        r.decoded_with = {"a", "b"};
      },
      [](auto& r) { r.rows[1].input_id ^= 1; },
      [](auto& r) { r.rows[2].position += 1; },
      [](auto& r) { r.rows[0].chosen ^= 1; },
      [](auto& r) { r.rows[0].forward_call += 1; },
      [](auto& r) { r.rows[0].forward_rows += 1; },
      [](auto& r) { r.rows[0].batch_row += 1; },
      [](auto& r) { r.rows[2].phase = Phase::prefill; },
      [](auto& r) { r.rows[2].seconds += 1; },
      [](auto& r) { r.top.ids[1] ^= 1; },
      [](auto& r) { r.top.log_probabilities[1] = -3; },
      [](auto& r) { r.hidden.words.back() ^= std::byte{1}; },
      [](auto& r) { r.checksums.sums.back() ^= 1; },
      [](auto& r) { add_sketches(r); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    auto other = prompt;
    changes[i](other);
    EXPECT_NE(hash_of(other), usual) << "change " << i;
  }
}

TEST_F(WholeRecord, ChosenIsHeldAgainstTheRow) {
  auto prompt = records_[0];
  prompt.logits.clear();
  for (int row = 0; row < 3; ++row)
    for (int i = 0; i < 7; ++i) {
      const float value = i == row + 1 ? 2.0F : 1.0F;
      const auto* const bytes = reinterpret_cast<const std::byte*>(&value);
      prompt.logits.insert(prompt.logits.end(), bytes, bytes + sizeof value);
    }
  prompt.hash = sha256_hex(prompt.logits);
  for (int row = 0; row < 3; ++row) prompt.rows[static_cast<std::size_t>(row)].chosen = row + 1;
  testing::write_record(scratch_ / "right.h5", run_, {prompt});
  EXPECT_TRUE(verify_prompt(Reader::open(scratch_ / "right.h5"), "a", Verify::chosen_too));
  prompt.rows[1].chosen = 4;
  testing::write_record(scratch_ / "wrong.h5", run_, {prompt});
  const auto wrong = Reader::open(scratch_ / "wrong.h5");
  EXPECT_TRUE(verify_prompt(wrong, "a"));
  EXPECT_THAT(error_of([&] { verify_prompt(wrong, "a", Verify::chosen_too); }).what(),
              HasSubstr("/prompts/a/chosen: row 1 says 4, but the largest logit is token 2's"));
}

TEST_F(WholeRecord, AStrangersPromptIsDroppedFromACompleteOne) {
  auto shorter = options_;
  shorter.prompts.pop_back();
  record_all();
  EXPECT_THAT(prepare_output(shorter, run_), ElementsAre("a", "b", "c"));
  assemble(shorter, run_, {});
  EXPECT_THAT(Reader::open(options_.output).prompt_ids(), ElementsAre("a", "b", "c"));
}

TEST_F(WholeRecord, APartUnderTheHeadersNameIsReplacedByTheHeader) {
  prepare_output(options_, run_);
  add({"a", "b"});
  const auto header = contents(parts_ / "+run.h5");
  fs::copy_file(parts_ / "a.h5", parts_ / "+run.h5", fs::copy_options::overwrite_existing);
  EXPECT_THAT(prepare_output(options_, run_), ElementsAre("a", "b"));
  EXPECT_TRUE(contents(parts_ / "+run.h5") == header);
}

TEST_F(WholeRecord, WhatIsNoLockIsLeftAlone) {
  const fs::path lock = scratch_ / "o.h5.lock";
  replace_contents(scratch_ / "precious", "mine");
  fs::create_symlink("precious", lock);
  EXPECT_EQ(error_of([&] { OutputLock one(options_.output); }).code(), ExitCode::failure);
  fs::remove(lock);
  replace_contents(lock, "somebody's notes");
  EXPECT_EQ(error_of([&] { OutputLock one(options_.output); }).code(), ExitCode::usage);
  EXPECT_EQ(contents(lock), "somebody's notes");
  EXPECT_EQ(contents(scratch_ / "precious"), "mine");
  fs::remove(lock);
  ASSERT_EQ(::mkfifo(lock.c_str(), 0600), 0);
  EXPECT_EQ(error_of([&] { OutputLock one(options_.output); }).code(), ExitCode::usage);
}

TEST_F(WholeRecord, ADeviceOrAPipeIsNotReplaced) {
  ASSERT_EQ(::mkfifo(options_.output.c_str(), 0600), 0);
  options_.overwrite = true;
  EXPECT_EQ(error_of([&] { prepare_output(options_, run_); }).code(), ExitCode::usage);
  EXPECT_TRUE(fs::is_fifo(options_.output));
}

TEST_F(WholeRecord, SomethingInTheWayIsNamed) {
  fs::create_directory(scratch_ / "o.h5.assembling");
  const auto error = error_of([&] { prepare_output(options_, run_); });
  EXPECT_EQ(error.code(), ExitCode::usage);
  EXPECT_THAT(error.what(), HasSubstr("o.h5.assembling: is a directory, in the way"));
}

// -- one writer

TEST_F(WholeRecord, ASecondWriterEndsAtOnceAndNamesTheFirst) {
  std::string token;
  {
    const OutputLock first(options_.output);
    token = first.token();
    const auto error = error_of([&] { OutputLock second(options_.output); });
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_THAT(error.what(), HasSubstr(fmt::format("is being written by process {} on ", ::getpid())));
    require_owner(options_.output, token);
  }
  EXPECT_TRUE(fs::exists(scratch_ / "o.h5.lock")) << "it stays: others may wait on it";
  const OutputLock next(options_.output);
  EXPECT_NE(next.token(), token);
  EXPECT_THAT(error_of([&] { require_owner(options_.output, token); }).what(),
              HasSubstr("has taken it over"));
}

TEST_F(WholeRecord, TheLockGoesWithItsProcess) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const OutputLock lock(options_.output);
    const char one = 'x';
    if (::write(ready[1], &one, 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char one = 0;
  ASSERT_EQ(::read(ready[0], &one, 1), 1);
  EXPECT_THAT(error_of([&] { OutputLock second(options_.output); }).what(),
              HasSubstr(fmt::format("process {} on ", child)));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  const OutputLock now(options_.output);
}

// As where a file system grants the lock on two nodes: the second writes its name, the first sees it.
TEST_F(WholeRecord, AnOwnerThatWasReplacedFinishesNothingMore) {
  const OutputLock lock(options_.output);
  options_.owner = lock.token();
  prepare_output(options_, run_);
  add({"a"});
  const auto own = contents(scratch_ / "o.h5.lock");
  replace_contents(scratch_ / "o.h5.lock", "another token\n17\n4\nnode2\n2026-01-02T03:04:05Z\n");
  const auto error = error_of([&] { add({"b"}); });
  EXPECT_EQ(error.code(), ExitCode::failure);
  EXPECT_THAT(error.what(), HasSubstr("process 17 on node2 since 2026-01-02T03:04:05Z has taken it over"));
  EXPECT_FALSE(fs::exists(parts_ / "b.h5"));
  EXPECT_EQ(std::distance(fs::directory_iterator(parts_), fs::directory_iterator()), 2)
      << "its temporary is gone";
  EXPECT_EQ(error_of([&] { missing_prompts(options_, run_); }).code(), ExitCode::failure);
  EXPECT_TRUE(fs::exists(parts_ / "a.h5")) << "what it finished is kept";
  replace_contents(scratch_ / "o.h5.lock", own);
  add({"b", "c", "d"});
  assemble(options_, run_, {});
  EXPECT_TRUE(Reader::open(options_.output).complete());
}

}  // namespace
}  // namespace shardrift::record
