// shardrift profile show FILE, shardrift profile diff A B
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/profile_output.hpp"
#include "common/output_file.hpp"

namespace shardrift::cli {
namespace {

constexpr const char* kHelp = R"(usage: shardrift profile show FILE.json
       shardrift profile diff A.json B.json [options]

What was seen of a machine's collectives: in which order every element of a message
is added. Profiles come from shardrift-run probe --save-profile, or from
scripts/python/probe_collective.py inside an engine; a run with --reduction profile
adds in their order on one device.

  shardrift profile show experiments/profiles/nccl-2.28.3-4xh100.json
  shardrift profile diff before-the-upgrade.json after-it.json

show: a bar for every probed message, a letter for every order.
diff: did an upgrade, another machine or another all-reduce change our sums? Messages
that one of the two probed, and the other probed or its model knows; those that neither
says anything of are not there.

exit code of diff: 0 no message that both know has sums of other bits, 1 some have,
64 profiles that cannot be compared, 65 a file that is no profile
)";

ExitCode show(const std::vector<std::string>& files) {
  if (files.size() != 1) throw usage_error("profile show: needs one file: shardrift profile show FILE.json");
  print(profile_text(read_profile(files.front())));
  return ExitCode::ok;
}

}  // namespace

ExitCode profile(const std::vector<std::string>& arguments) {
  std::vector<std::string> words;
  std::string json_path;
  std::int64_t rows = 4;
  Arguments known("profile", kHelp);
  known.files(words, 3)
      .option("json", json_path, "FILE", "diff: every message, every run of elements")
      .option("rows", rows, "N",
              "diff: orders printed of a message, those of most elements first (default 4)");
  if (!known.read(arguments)) return ExitCode::ok;
  if (words.empty()) throw usage_error("profile: show or diff? see shardrift profile --help");
  const std::string what = words.front();
  const std::vector<std::string> files(words.begin() + 1, words.end());
  if (what != "show" && what != "diff")
    throw usage_error("profile {}: no such thing to do: show or diff; see shardrift profile --help", what);
  if (what == "show") {
    if (!json_path.empty()) throw usage_error("profile show --json: the profile is JSON; leave --json out");
    return show(files);
  }
  if (files.size() != 2)
    throw usage_error("profile diff: needs two files: shardrift profile diff A.json B.json");
  if (rows < 0) throw usage_error("--rows {}: must be at least 0", rows);
  const ProfileDiff diff = diff_profiles(read_profile(files[0]), read_profile(files[1]));
  OutputFile json("--json", json_path, files);
  if (json.wanted()) json.stream() << profile_diff_json(diff, files[0], files[1]);
  json.close();
  print(profile_diff_text(diff, files[0], files[1], static_cast<std::size_t>(rows)));
  return diff.differs() ? ExitCode::beyond_tolerance : ExitCode::ok;
}

}  // namespace shardrift::cli
