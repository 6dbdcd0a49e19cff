// What was computed by other numerics is another run's, though plan, model and prompts are the same.
#include "record/numerics.hpp"

#include <gmock/gmock.h>
#include <hdf5.h>

#include "record/hdf5_write.hpp"
#include "record/part_file.hpp"
#include "record/schema.hpp"
#include "tests/unit/record/example_record.hpp"

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

Environment some_environment() {
  Environment environment;
  environment.devices = {{0, "n1", "Some GPU", "GPU-1", "9.0", "580"},
                         {1, "n2", "Some GPU", "GPU-2", "9.0", "580"}};
  environment.libraries = {{"torch", "2.9.0"}, {"mkl", "2024.2"}, {"nccl", "2.27.5"}, {"mpi", "4.1.4"}};
  environment.variables = {{"NCCL_ALGO", "Ring"}, {"NCCL_DEBUG", "WARN"}, {"SLURM_JOB_ID", "7"}};
  environment.settings = {{"matmul", "some kernels"}, {"cpu_capability", "AVX2"}, {"kernel_threads", "2"}};
  return environment;
}

TEST(Numerics, LeaveOutWhatMovesNoBits) {
  const auto usual = numerics_of(some_environment());
  Environment other = some_environment();
  other.devices[0].host = "n7";
  other.devices[1].uuid = "GPU-9";
  other.libraries["hdf5"] = "1.14";
  other.variables = {{"NCCL_ALGO", "Ring"}, {"NCCL_SOCKET_IFNAME", "eth0"}, {"SLURM_JOB_ID", "8"}};
  other.settings["kernel_threads"] = "64";
  other.settings["captured sums"] = "as eager ones";  // the run learns it after it began
  other.topology = "elsewhere";
  other.collectives = {testing::example_collective()};
  EXPECT_EQ(numerics_of(other), usual);
  EXPECT_EQ(first_difference(usual, numerics_of(other)), std::nullopt);
  // What another host has otherwise, whatever its name.
  other.variables["NCCL_ALGO@n2"] = "Tree";
  const auto mixed = numerics_of(other);
  other.variables.erase("NCCL_ALGO@n2");
  other.variables["NCCL_ALGO@n5"] = "Tree";
  EXPECT_EQ(numerics_of(other), mixed);
  EXPECT_EQ(first_difference(usual, mixed),
            "the variable NCCL_ALGO was Ring, now is Ring, on other hosts Tree");
}

TEST(Numerics, OneRankAddsNothingOverALibrary) {
  Environment alone = some_environment();
  alone.devices.resize(1);
  Environment other = alone;
  other.libraries["nccl"] = other.libraries["mpi"] = "9";
  other.variables["NCCL_ALGO"] = "Tree";
  EXPECT_EQ(numerics_of(alone), numerics_of(other));
}

TEST(Numerics, NameTheFirstFactThatDiffers) {
  const auto usual = numerics_of(some_environment());
  const auto difference = [&](auto&& change) {
    Environment other = some_environment();
    change(other);
    return first_difference(usual, numerics_of(other)).value_or("none");
  };
  EXPECT_EQ(difference([](Environment& e) { e.devices[0].name = e.devices[1].name = "Other GPU"; }),
            "the device was Some GPU, now is Other GPU");
  EXPECT_EQ(difference([](Environment& e) { e.devices[1].driver = "590"; }),
            "the GPU driver was 580, now is 580, 590");
  EXPECT_EQ(difference([](Environment& e) { e.libraries["torch"] = "2.10.0"; }),
            "the version of torch was 2.9.0, now is 2.10.0");
  EXPECT_EQ(difference([](Environment& e) { e.settings["matmul"] = "other kernels"; }),
            "the setting matmul was some kernels, now is other kernels");
  EXPECT_EQ(difference([](Environment& e) { e.settings["cpu_capability"] = "AVX512"; }),
            "the setting cpu_capability was AVX2, now is AVX512");
  for (const char* name : {"MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA",
                           "ATEN_CPU_CAPABILITY", "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE"})
    EXPECT_EQ(difference([&](Environment& e) { e.variables[name] = "AVX2"; }),
              fmt::format("the variable {} was (not set), now is AVX2", name));
  EXPECT_EQ(difference([](Environment& e) { e.variables.erase("NCCL_ALGO"); }),
            "the variable NCCL_ALGO was Ring, now is (not set)");
}

class OtherNumerics : public ::testing::Test {
 protected:
  void add(const RunInfo& run, const std::vector<std::string>& ids) const {
    PartWriter writer(options_, run);
    for (const auto& id : ids) writer.add(example_prompt(run, id, *id.c_str() - 'a'));
    writer.finish();
  }
  void expect_refused(const std::string& where) const {
    const Error refused = error_of([&] { prepare_output(options_, other_); });
    EXPECT_EQ(refused.code(), ExitCode::usage);
    for (const auto& word : {where, std::string("the variable MKL_CBWR was (not set), now is COMPATIBLE"),
                             std::string("--overwrite")})
      EXPECT_THAT(refused.what(), HasSubstr(word));
  }
  // As versions before schema minor 7 wrote it.
  void make_older(const std::string& id) const {
    const fs::path part = parts_ / (id + ".h5");
    const fs::path kept = scratch_ / "kept.h5";
    fs::rename(part, kept);
    write_part(options_, part, [&](hid_t root) {
      write_schema(root);
      h5::write_attribute(root, "resume_key", run_.resume_key);
      const auto file = open_record_file(kept);
      ASSERT_GE(H5Ocopy(file.file, "prompts", root, "prompts", H5P_DEFAULT, H5P_DEFAULT), 0);
    });
  }

  Scratch scratch_;
  std::vector<std::string> notes_;
  WriterOptions options_{
      scratch_ / "o.h5", false, 0, {}, {}, [this](const auto& note) { notes_.push_back(note); }};
  fs::path parts_ = scratch_ / "o.h5.parts";
  RunInfo run_ = example_run();
  RunInfo other_ = [] {
    RunInfo run = example_run();
    run.environment.variables["MKL_CBWR"] = "COMPATIBLE";
    return run;
  }();
};

TEST_F(OtherNumerics, DoNotGoOnFromParts) {
  prepare_output(options_, run_);
  add(run_, {"a", "b"});
  expect_refused("o.h5.parts");
  EXPECT_THAT(prepare_output(options_, run_), UnorderedElementsAre("a", "b"));
  // The header is gone: each part says it, too.
  replace_contents(parts_ / "+run.h5", "noise");
  expect_refused("o.h5.parts");
  EXPECT_THAT(prepare_output(options_, run_), UnorderedElementsAre("a", "b"));
  EXPECT_THAT(notes_, ElementsAre());
  options_.overwrite = true;
  EXPECT_THAT(prepare_output(options_, other_), ElementsAre());
  add(other_, {"a"});
  EXPECT_THAT(prepare_output(options_, other_), ElementsAre("a"));  // a requeued job repeats its command
}

TEST_F(OtherNumerics, BeginWhereNothingIsFinished) {
  prepare_output(options_, run_);
  EXPECT_THAT(prepare_output(options_, other_), ElementsAre());
  EXPECT_EQ(Reader::open(options_.output).run().environment.variables, other_.environment.variables);
}

TEST_F(OtherNumerics, AStrayPartIsNotBelieved) {
  prepare_output(options_, run_);
  add(run_, {"a"});
  add(other_, {"b"});
  EXPECT_THAT(prepare_output(options_, run_), ElementsAre("a"));
  EXPECT_FALSE(fs::exists(parts_ / "b.h5"));
}

TEST_F(OtherNumerics, OlderPartsAreTakenForTheHeadersOrWithANote) {
  prepare_output(options_, run_);
  add(run_, {"a"});
  make_older("a");
  expect_refused("o.h5.parts");
  EXPECT_THAT(prepare_output(options_, run_), ElementsAre("a"));
  EXPECT_THAT(notes_, ElementsAre());
  replace_contents(parts_ / "+run.h5", "noise");
  EXPECT_THAT(prepare_output(options_, other_), ElementsAre("a"));
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("older version")));
}

TEST_F(OtherNumerics, DoNotGoOnFromARecord) {
  write_record(options_.output, run_, {example_prompt(run_, "a", 0), example_prompt(run_, "b", 1)});
  const auto before = contents(options_.output);
  expect_refused("o.h5");
  EXPECT_EQ(contents(options_.output), before);
  for (const char* id : {"a", "b", "c"})
    options_.prompts.push_back(example_prompt(run_, id, *id - 'a').prompt);
  expect_refused("o.h5");  // one is missing
  EXPECT_FALSE(fs::exists(parts_));
  EXPECT_THAT(prepare_output(options_, run_), UnorderedElementsAre("a", "b"));
  expect_refused("o.h5");  // …, the others are parts again
  EXPECT_TRUE(fs::exists(parts_ / "a.h5"));
}

}  // namespace
}  // namespace shardrift::record
