// The command line of shardrift-run bench: a plan, as of a run, and what is measured of it.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/field_table.hpp"
#include "options/own_flag.hpp"
#include "options/run_options.hpp"

namespace shardrift {

struct BenchOptions {
  RunOptions run;  // the model, the plan, and how passes follow each other
  std::vector<int> contexts{16};
  std::vector<int> prefills;
  int tokens = 64;
  int repeats = 3;
  std::filesystem::path json;
};

constexpr auto fields_of(std::type_identity<BenchOptions>) {
  return std::tuple{
      OwnFlag{"context", &BenchOptions::contexts,
              "decode after prompts of so many tokens, e.g. 16,1400 (default 16)"},
      OwnFlag{"tokens", &BenchOptions::tokens, "decode N tokens after each (default 64)"},
      OwnFlag{"prefill", &BenchOptions::prefills,
              "prefill prompts of so many tokens, e.g. 512,1400 (default: none)"},
      OwnFlag{"repeats", &BenchOptions::repeats,
              "measure each N times, after a time that does not count; the median is told (default 3)"},
      OwnFlag{"json", &BenchOptions::json, "write all that was measured to this file"},
  };
}
// The run's fields have a table of their own.
static_assert(field_count<BenchOptions>() == member_count<BenchOptions>() - 1,
              "a member of BenchOptions has no row above");

// Flags of a run that a bench takes as they are, beside the plan's.
bool is_bench_flag_of_run(std::string_view key);

// arguments: what follows "bench". Throws usage_error. Pinning flags are accepted here and applied by
// main.cpp.
BenchOptions parse_bench_options(const std::vector<std::string>& arguments, bool& helped);
std::string bench_help();

}  // namespace shardrift
