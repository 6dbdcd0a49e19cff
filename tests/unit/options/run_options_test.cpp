// A run's command line and its resume key, both made of the tables of fields.
#include "options/run_options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "common/error.hpp"
#include "common/field_text.hpp"
#include "options/launch.hpp"
#include "options/pinning.hpp"
#include "options/resume_key.hpp"
#include "parallel/plan/plan_fields.hpp"
#include "parallel/plan/plan_json.hpp"
#include "tests/support/changed_field.hpp"

namespace shardrift {

inline void change(Reduction& reduction) {
  reduction.order = ReductionOrder::tree_index;
  reduction.tree = 7;
}

namespace {

using ::testing::HasSubstr;

RunOptions parsed(const std::vector<std::string>& words) {
  bool helped = false;
  return parse_run_options(words, helped);
}
RunOptions parsed(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return parsed(words);
}
std::string refusal(const std::string& more) {
  try {
    parsed("--model m --prompts p --output o " + more);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return "";
}

// The flags of every field, as texts.
template <typename Value>
void add_flags(const Value& value, std::vector<std::string>& words) {
  for_each_field(value, [&](const auto& row, const auto& field) {
    const auto flag = "--" + flag_of(row.key);
    if constexpr (std::is_same_v<decltype(field), const bool&>) {
      if (field) words.push_back(flag);
    } else if (const auto text = text_of(field); !text.empty()) {
      words.insert(words.end(), {flag, text});
    }
  });
}
std::vector<std::string> flags_of(const RunOptions& options) {
  std::vector<std::string> words;
  add_flags(options, words);
  add_flags(options.plan, words);
  return words;
}

// Changes every field of the value alone, one after the other, and visits its row.
template <typename Value, typename Visit>
void with_each_changed(Value& value, Visit&& visit) {
  const Value usual = value;
  for_each_field(usual, [&](const auto& changed, const auto&) {
    value = usual;
    for_each_field(value, [&](const auto& row, auto& field) {
      if (row.key == changed.key) change(field);
    });
    visit(changed);
  });
  value = usual;
}

RunOptions scored() {
  RunOptions options;
  options.model = "model";
  options.output = "o.h5";
  options.mode = Mode::score;
  options.follow = "reference.h5";
  return options;
}

void expect_same(const RunOptions& got, const RunOptions& want, std::string_view changed) {
  EXPECT_EQ(flags_of(got), flags_of(want)) << changed;
  EXPECT_EQ(got.plan, want.plan) << changed;
}

TEST(RunOptions, EveryFieldComesBackFromItsFlag) {
  RunOptions options = scored();
  const auto check = [&](const auto& changed) {
    if (changed.key == "prompts") return;                         // a followed record brings its own
    if (changed.key == "run_ahead") options.mode = Mode::follow;  // a score decodes nothing
    expect_same(parsed(flags_of(options)), options, changed.key);
  };
  with_each_changed(options, check);
  with_each_changed(options.plan, check);
  const auto given = parsed("--model m --prompts p.jsonl --output o.h5");
  EXPECT_EQ(given.prompts, "p.jsonl");
}

TEST(RunOptions, TheResumeKeyHoldsTheWholePlanAndWhatItsTableSays) {
  const ResumeInputs inputs{"1", "model", "prompts", ""};
  RunOptions options = scored();
  const auto usual = resume_key(options, inputs);
  with_each_changed(options.plan, [&](const auto& changed) {
    EXPECT_NE(resume_key(options, inputs), usual) << changed.key;
  });
  with_each_changed(options, [&](const auto& changed) {
    EXPECT_EQ(resume_key(options, inputs) != usual, changed.resume == Resume::same_value) << changed.key;
  });
  for (const auto& other : {ResumeInputs{"2", "model", "prompts", ""}, ResumeInputs{"1", "m", "prompts", ""},
                            ResumeInputs{"1", "model", "p", ""}, ResumeInputs{"1", "model", "prompts", "x"},
                            ResumeInputs{"1", "model", "prompts", "", "c"}})
    EXPECT_NE(resume_key(options, other), usual);
}

// Two runs of scripts/demo, recorded by 0.1.0 before there were tables: later fields must not change the keys
// of runs that do not use them.
TEST(RunOptions, KeysAreThoseOfOldRecords) {
  const ResumeInputs inputs{"0.1.0", "73fae686b652faf4d27fa01ef159f2fa06bf2ea2ebf4c0f04cbb7c05fc942818",
                            "e8e972a3d2988754f092aa436419d64be80d909133bfea90962cee6b2e45704f", ""};
  const auto key = [&](const std::string& more, int ranks) {
    auto options = parsed(
        "--model models/smollm2-135m --prompts experiments/demo-prompts.jsonl --output o.h5 --overwrite "
        "--device cpu --max-new-tokens 24 " +
        more);
    options.plan = validated(options.plan, 30, ranks);
    return resume_key(options, inputs);
  };
  EXPECT_EQ(key("--dtype bfloat16 --tensor-parallel 2", 2),
            "f4c8df6f6348e5b928a9eaba1f77b9f4411e01653b85af1b17601a004a3b4f7d");
  EXPECT_EQ(key("--dtype float32 --tensor-parallel 2 --pipeline 2", 4),
            "862ea4a1c07b08e8e082b56ec563f3c1a1ed73dd8cc0f5ee95aa8cf789d3bd3e");
}

TEST(RunOptions, WhatIsNotGivenFollowsFromTheRest) {
  const auto plan = [](const std::string& more) {
    return parsed("--model m --prompts p --output o " + more).plan;
  };
  EXPECT_EQ(plan(""), Plan());
  EXPECT_EQ(plan("--tensor-parallel 4").shards, 4);
  EXPECT_EQ(plan("--tensor-parallel 4").reduction, Reduction());
  EXPECT_EQ(plan("--tensor-parallel 2 --shards 4").reduction.order, ReductionOrder::linear);
  EXPECT_EQ(plan("--shards 4 --row-linear gather").reduction, Reduction());
  EXPECT_EQ(plan("--shards 4 --accumulate float32").reduction.accumulator, Accumulator::float32);
  EXPECT_EQ(plan("--shards 4 --reduction exact").reduction.accumulator, Accumulator::float64);
  EXPECT_EQ(plan("--shards 4 --accumulate float32 --reduction tree").reduction.accumulator,
            Accumulator::float32);
  EXPECT_EQ(plan("--dtype bfloat16").logits_dtype, DType::bfloat16);
  EXPECT_EQ(plan("--dtype tf32 --logits-dtype model").logits_dtype, DType::float32);
  EXPECT_EQ(plan("--logits-dtype float32 --dtype float16").logits_dtype, DType::float32);
  EXPECT_EQ(plan("").quantize, Quantization::none);
  EXPECT_EQ(plan("--quantize fp8-block").quantize, Quantization::fp8_block);
}

TEST(RunOptions, RefusalsNameTheFlagAndTheWayOut) {
  EXPECT_EQ(refusal("--batch many"), "--batch many: is not a whole number");
  EXPECT_EQ(refusal("--batch 2x"), "--batch 2x: is not a whole number");
  EXPECT_EQ(refusal("--stage-layers 1,x"), "--stage-layers 1,x: 'x' is not a number");
  EXPECT_EQ(refusal("--stage-layers 1,"), "--stage-layers 1,: '' is not a number");
  EXPECT_EQ(refusal("--stage-layers ,1"), "--stage-layers ,1: '' is not a number");
  EXPECT_EQ(refusal("--mode chat"), "unknown --mode 'chat': use greedy, follow or score");
  EXPECT_EQ(refusal("--record all"), "unknown --record 'all': use top, logits or hidden");
  EXPECT_EQ(refusal("--quantize int5"),
            "unknown --quantize 'int5': use none, int8, int4, nf4, fp8 or fp8-block");
  EXPECT_THAT(refusal("--no-such-flag"), HasSubstr("no-such-flag"));
  EXPECT_THAT(refusal("--mode follow"), HasSubstr("--follow REF.h5"));
}

TEST(RunOptions, OnlyPromptsThatAreDecodedTogetherArePrefilledTogether) {
  EXPECT_EQ(
      refusal("--prefill-batch 3"),
      "--prefill-batch 3 with --batch 1: only prompts that are decoded together are prefilled together; "
      "give --batch 3 or more, or --prefill-batch 1 or less");
  EXPECT_THAT(refusal("--batch 2 --prefill-batch 3"), HasSubstr("--batch 3 or more"));
  EXPECT_EQ(parsed("--model m --prompts p --output o --batch 3 --prefill-batch 3").plan.prefill_batch, 3);
  // Score decodes nothing.
  EXPECT_EQ(parsed("--model m --prompts p --output o --mode score --prefill-batch 3").plan.prefill_batch, 3);
}

TEST(RunOptions, PassesThatAreLookedIntoComeOneByOne) {
  EXPECT_EQ(refusal("--in-flight 0"), "--in-flight 0: use 1 to 64");
  EXPECT_EQ(refusal("--pipeline 2 --in-flight 2 --checksums"),
            "--in-flight 2 with --checksums: what is traced is collected pass by pass; leave one out");
  EXPECT_EQ(refusal("--run-ahead on --record hidden"),
            "--run-ahead on with --record hidden: what is traced is collected pass by pass; leave one out");
  EXPECT_EQ(
      refusal("--run-ahead on --pipeline 4"),
      "--run-ahead on with --pipeline 4: a stage has the next token from the last one; leave it out, and "
      "give --in-flight 4");
  EXPECT_EQ(refusal("--run-ahead on --in-flight 2"),
            "--run-ahead on with --in-flight 2: the pass before is another group's; leave one out");
  EXPECT_EQ(refusal("--run-ahead on --mode score"),
            "--run-ahead on with --mode score: one pass takes all of a prompt; leave it out");
  EXPECT_EQ(refusal("--device cuda --launch captured --checksums"),
            "--launch captured with --checksums: a captured pass cannot be looked into; leave one out");
  const auto options = parsed("--model m --prompts p --output o --pipeline 2 --in-flight 3 --run-ahead off");
  EXPECT_EQ(options.in_flight, 3);
  EXPECT_EQ(options.run_ahead, RunAhead::off);
}

// A run that is told nothing of its launch is captured where it can be, and says why where it cannot.
TEST(RunOptions, TheLaunchFollowsFromTheRest) {
  const auto resolved = [](const std::string& flags, const std::string& of_model = "") {
    auto options = parsed("--model m --prompts p --output o " + flags);
    auto note = resolve_launch(options, of_model);
    return std::pair(options.plan.launch, note);
  };
  EXPECT_EQ(parsed("--model m --prompts p --output o").plan.launch, Launch::eager);
  EXPECT_EQ(parsed("--model m --prompts p --output o --device cuda").plan.launch, Launch::automatic);
  EXPECT_EQ(resolved("--launch auto"), std::pair(Launch::eager, std::string()));
  EXPECT_EQ(resolved(""), std::pair(Launch::eager, std::string()));
  EXPECT_EQ(resolved("--device cuda"), std::pair(Launch::captured, std::string()));
  EXPECT_EQ(resolved("--device cuda --launch auto"), std::pair(Launch::captured, std::string()));
  EXPECT_EQ(resolved("--device cuda --launch eager"), std::pair(Launch::eager, std::string()));
  EXPECT_EQ(resolved("--device cuda --mode score"), std::pair(Launch::eager, std::string()));
  for (const std::string flag : {"--checksums", "--record hidden"})
    EXPECT_EQ(resolved("--device cuda " + flag),
              std::pair(Launch::eager,
                        "launch eager, because a captured pass cannot be looked into, as " + flag + " does"));
  EXPECT_EQ(resolved("--device cuda", "it is a mixture"),
            std::pair(Launch::eager, std::string("launch eager, because it is a mixture")));
  EXPECT_EQ(resolved("--device cuda --launch captured", "it is a mixture"),
            std::pair(Launch::captured, std::string()));  // refused where the model is known
  // A profile of eager sums predicts an eager run; of our own all-reduces and of two ranks, either.
  const std::string profiles = SHARDRIFT_SOURCE_DIR "/experiments/profiles/";
  const auto [launch, note] = resolved("--device cuda --shards 4 --reduction profile --collective-profile " +
                                       profiles + "openmpi-4.1.4-4ranks.json");
  EXPECT_EQ(launch, Launch::eager);
  EXPECT_THAT(note, HasSubstr("openmpi-4.1.4-4ranks.json knows no captured sums"));
  EXPECT_EQ(resolved("--device cuda --shards 3 --reduction profile --collective-profile " + profiles +
                     "two-shot-3ranks.json"),
            std::pair(Launch::captured, std::string()));
}

TEST(RunOptions, HelpHasEveryFlag) {
  const auto help = run_help();
  const auto expect_flags = [&](const auto& value) {
    for_each_field(value, [&](const auto& row, const auto&) {
      EXPECT_THAT(help, HasSubstr("--" + flag_of(row.key) + " ")) << row.key;
    });
  };
  const RunOptions options;
  const Pinning pinning;
  expect_flags(options);
  expect_flags(options.plan);
  expect_flags(pinning);
}

}  // namespace
}  // namespace shardrift
