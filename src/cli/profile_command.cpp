// shardrift profile show FILE, shardrift profile diff A B [REF]
#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "analysis/measure/differences.hpp"
#include "analysis/measure/measure.hpp"
#include "analysis/measure/run_summary.hpp"
#include "analysis/near_ties/near_ties_presenters.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/profile_output.hpp"
#include "cli/profile_run.hpp"
#include "common/output_file.hpp"
#include "weights/model_config.hpp"

namespace shardrift::cli {
namespace {

constexpr const char* kHelp = R"(usage: shardrift profile show FILE.json
       shardrift profile diff A.json B.json|ORDER [REF.h5 [--run --model DIR]] [options]

What was seen of a machine's collectives: in which order every element of a message
is added. Profiles come from shardrift-run probe --save-profile, or from
scripts/python/probe_collective.py inside an engine; a run with --reduction profile
adds in their order on one device.

  shardrift profile show experiments/profiles/nccl-2.28.3-4xh100.json
  shardrift profile diff before-the-upgrade.json after-it.json
  shardrift profile diff probed-in-vllm.json engine:vllm
  shardrift profile diff before.json after.json tp4.h5
  shardrift profile diff before.json after.json tp4.h5 --run --model DIR

show: a bar for every probed message, a letter for every order.
diff: did an upgrade, another machine or another all-reduce change our sums? Messages
that one of the two probed, and the other probed or its model knows; those that neither
says anything of are not there.
ORDER, in the place of either file: does the machine add as an order of run's --reduction
says? linear, ring, tree:7 …, or a model of a program's source: vllm-one-stage,
vllm-two-stage, engine:vllm, nccl-symmetric, halving-doubling (docs/reductions.md).
REF.h5, a record with logits of as many ranks, or of one device (with --run also one
of tokens alone, or another engine's): which of its steps
depend on a sum that is added in another order, and which of these stand so near a tie
that they can flip. How far such a change moves logits is an estimate from the dtype
and the number of layers. --run measures it: one device predicts the record's tokens
in both orders, and says which steps do flip.

Where both add in a wider dtype than the message's and round once (float32 for bfloat16),
another order seldom moves a bit: that is said, and counts as a difference.

exit code of diff: 0 all messages that both know are added alike (of the record, where
one is given; with --run: no bit of its rows moves), 1 some are not (some move), 2 both
know no message (not all sums of the record): nothing can be said, 64 profiles that
cannot be compared, 65 a file that is no profile or no record, 70 failure, 75 interrupted
(run it again)
)";

ExitCode show(const std::vector<std::string>& files) {
  if (files.size() != 1) throw usage_error("profile show: needs one file: shardrift profile show FILE.json");
  print(profile_text(read_profile(files.front())));
  return ExitCode::ok;
}

struct Words {
  std::vector<std::string> files;
  std::string json_path;
  std::int64_t rows = 4;
  ProfileRunFlags run;
};

// Of a record: what the change reaches and can flip; with --run what it does.
struct OfRecord {
  analysis::NearTies ties;
  std::optional<analysis::OrderRun> run;
};

// Whether its steps' margins, and the sums they depend on, are known.
bool speaks_for_itself(const record::Reader& run) {
  const auto ids = run.prompt_ids();
  return analysis::shards_of(run.run()) > 0 &&
         std::all_of(ids.begin(), ids.end(), [&](const auto& id) { return run.has_logits(id); });
}

// nullopt: interrupted.
std::optional<OfRecord> of_record(const Words& words, const CollectiveProfile& a,
                                  const CollectiveProfile& b) {
  const auto run = record::Reader::open(words.files[2]);
  if (!words.run.run) {
    // Another engine's record may hold none; it is refused for what it cannot say.
    const bool own = analysis::shards_of(run.run()) > 0;
    const auto config =
        own ? parse_model_config(run.run().model.config, run.path().string() + ": config") : ModelConfig();
    return OfRecord{analysis::near_ties(run, config, a, b), std::nullopt};
  }
  const auto config = read_model_config(words.run.model);
  const auto records = run_orders(words.run, run, a, b);
  if (!records) return std::nullopt;
  const auto in_a = record::Reader::open(records->a), in_b = record::Reader::open(records->b);
  // A record without logits, or another engine's, gives its tokens; the margins are then A's prediction's.
  const bool of_itself = speaks_for_itself(run);
  OfRecord of{analysis::near_ties(of_itself ? run : in_a, config, a, b), std::nullopt};
  const auto between = analysis::measure(in_a, in_b, {.say = note});
  if (of_itself) {
    const auto with_record = analysis::measure(run, in_a, {.say = note});
    of.run = analysis::order_run(of.ties, between, &with_record);
  } else {
    of.run = analysis::order_run(of.ties, between, nullptr);
  }
  return of;
}

// Two files, or a file and the name of an order.
std::pair<CollectiveProfile, CollectiveProfile> profiles_of(const std::string& a, const std::string& b) {
  const auto is_file = [](const std::string& text) { return std::filesystem::exists(text); };
  const auto by_name = [](const std::string& text, const CollectiveProfile& other) {
    try {
      return profile_of_order(text, other.ranks);
    } catch (const Error& error) {
      throw usage_error("profile diff {}: no such file, and as an order: {}", text, error.what());
    }
  };
  if (!is_file(a) && is_file(b)) {
    const auto in_b = read_profile(b);
    return {by_name(a, in_b), in_b};
  }
  const auto in_a = read_profile(a);
  return {in_a, is_file(b) ? read_profile(b) : by_name(b, in_a)};
}

ExitCode diff(const Words& words) {
  const auto& files = words.files;
  if (files.size() != 2 && files.size() != 3)
    throw usage_error(
        "profile diff: needs two files, and may have a record: shardrift profile diff A.json B.json "
        "[REF.h5]");
  if (words.rows < 0) throw usage_error("--rows {}: must be at least 0", words.rows);
  if (words.run.run && files.size() != 3)
    throw usage_error(
        "profile diff --run: predicts a record: shardrift profile diff A.json B.json REF.h5 --run --model "
        "DIR");
  if (words.run.run && words.run.model.empty())
    throw usage_error("profile diff --run: --model DIR is needed: a Hugging Face directory or a GGUF file");
  const auto [a, b] = profiles_of(files[0], files[1]);
  const ProfileDiff diff = diff_profiles(a, b);
  auto inputs = files;
  if (words.run.run)
    for (auto& file : read_by(words.run)) inputs.push_back(std::move(file));
  OutputFile json("--json", words.json_path, inputs);
  std::optional<OfRecord> of;
  if (files.size() == 3) {
    of = of_record(words, a, b);
    if (!of) return ExitCode::interrupted;
  }
  const auto* ties = of ? &of->ties : nullptr;
  const auto* run = of && of->run ? &*of->run : nullptr;
  if (json.wanted()) json.stream() << profile_diff_json(diff, files[0], files[1], ties, run);
  json.close();
  const auto rows = static_cast<std::size_t>(words.rows);
  if (ties != nullptr) print(analysis::near_ties_answer(*ties, run));
  print(profile_diff_answer(diff));
  print(profile_diff_text(diff, files[0], files[1], rows));
  if (ties != nullptr) print(analysis::near_ties_text(*ties, run, rows));
  const auto code = [](bool differs, bool known) {
    return differs ? ExitCode::beyond_tolerance : known ? ExitCode::ok : ExitCode::inconclusive;
  };
  if (run != nullptr) return code(run->rows_differ > 0, true);
  if (ties == nullptr) return code(diff.differs(), diff.known());
  return code(ties->reached > ties->not_known || ties->seldom > 0, ties->not_known == 0);
}

}  // namespace

ExitCode profile(const std::vector<std::string>& arguments) {
  Words words;
  Arguments known("profile", kHelp);
  known.files(words.files, 4)
      .option("json", words.json_path, "FILE",
              "diff: every message, every run of elements, every step that can flip")
      .option("rows", words.rows, "N",
              "diff: messages printed that differ, and of each orders, those of most elements first; steps "
              "and flips of "
              "a record (default 4)")
      .flag("run", words.run.run, "diff: predict the record in both orders, on one device");
  add_profile_run_options(known, words.run);
  if (!known.read(arguments)) return ExitCode::ok;
  if (words.files.empty()) throw usage_error("profile: show or diff? see shardrift profile --help");
  const std::string what = words.files.front();
  words.files.erase(words.files.begin());
  if (what != "show" && what != "diff")
    throw usage_error("profile {}: no such thing to do: show or diff; see shardrift profile --help", what);
  if (const auto option = known.given_of(kWithProfileRun); option && !words.run.run)
    throw usage_error("profile: --{} goes with diff … --run", *option);
  if (words.run.worker.output.empty() && words.files.size() == 3)
    words.run.worker.output =
        std::filesystem::path("out/profile-diff") / analysis::name_of_run(words.files[2]);
  if (what == "diff") return diff(words);
  if (words.run.run) throw usage_error("profile show --run: nothing to run; leave --run out");
  if (!words.json_path.empty())
    throw usage_error("profile show --json: the profile is JSON; leave --json out");
  return show(words.files);
}

}  // namespace shardrift::cli
