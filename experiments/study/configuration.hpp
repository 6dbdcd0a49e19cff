// One run of a study, as a plain value: what `shardrift study` starts here and `shardrift submit` turns into
// an array task. A study is a list of these (study.hpp), checked as a whole before the first one starts.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/named_enum.hpp"

namespace shardrift::study {

enum class Role {
  reference,  // exactly one a comparison: one device, S = 1
  candidate,
  repeat,     // the reference's plan once more: the noise floor
  truth,      // float64 or float32 where memory forbids: which side is closer to exact arithmetic
  yardstick,  // another dtype or quantization: how far people already go without worry
  probe,      // no model is run: in which order does the live collective add?
};
constexpr auto names_of(Role) {
  return std::to_array<Named<Role>>({{Role::reference, "reference"},
                                     {Role::candidate, "candidate"},
                                     {Role::repeat, "repeat"},
                                     {Role::truth, "truth"},
                                     {Role::yardstick, "yardstick"},
                                     {Role::probe, "probe"}});
}

struct Configuration {
  std::string
      name;  // unique in the study; [A-Za-z0-9_-][A-Za-z0-9._-]{0,63}: file and job names are made of it
  Role role = Role::candidate;
  std::string device;           // cpu | cuda
  int ranks = 1;                // processes = devices: R x P x D
  int gpu = -1;                 // of a single-device run: on this device; -1: on any
  std::string plan;             // described for people: "TP=2 x PP=2, native, bfloat16, cuda"
  bool predicted = false;       // shards on fewer devices stand for ranks that the machine lacks (same bits)
  std::string asked;            // where predicted: the plan asked for; else empty
  std::string prediction;       // where predicted: why the bits are the same, naming the profile; else empty
  std::string command = "run";  // of shardrift-run: run, or probe
  // Words of another engine's command, which takes `arguments` and --output as shardrift-run run does, and
  // writes a record; empty: shardrift-run.
  std::vector<std::string> engine;
  bool checks = false;  // the engine's command takes --check as well (study.hpp)
  // Words after `shardrift-run run` (or probe): model, prompts, plan, mode; without --output, --overwrite and
  // --quiet.
  std::vector<std::string> arguments;
  std::filesystem::path model;     // directory; empty for a probe
  std::filesystem::path output;    // OUT.h5, absolute
  std::vector<std::string> after;  // names of configurations whose records this one reads (--follow)
  std::string compare_with;        // name of its reference; empty: it is one
  int line = 0;                    // of the study file, for messages
  std::string plan_json;           // as its record will say (plan_to_json); of an engine not known beforehand
  std::string fingerprint;         // SHA-256 of what decides its bits: arguments, model, prompts
  std::int64_t prompts = 0;        // how many it runs
  double estimated_seconds = 0;    // 0: not known
  std::int64_t estimated_bytes = 0;   // of the record on disk
  std::int64_t estimated_memory = 0;  // of one device
};

}  // namespace shardrift::study
