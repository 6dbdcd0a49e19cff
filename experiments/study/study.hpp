// A study file (TOML, docs/studies.md) as a plain value: one Entry for every run it asks for, its matrices
// multiplied out. Nothing is known about the machine yet: plan_study.hpp turns entries into Configurations.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "experiments/study/configuration.hpp"

namespace shardrift::study {

// The value of one flag of `shardrift-run run`, with the line it was written at (0: the command line).
struct Setting {
  std::string text;        // as the flag takes it: "2", "tree:7"; of a switch: empty
  bool is_switch = false;  // true or false in the file
  bool on = true;          // of a switch
  int line = 0;
  std::string given = {};  // on the command line, as it was written: "--set dtype=float32"; empty: elsewhere
  bool operator==(const Setting&) const = default;
};
using Settings = std::map<std::string, Setting>;  // by flag, without its dashes

struct Entry {
  std::string name;
  Role role = Role::candidate;
  Settings settings;          // [run]'s, the section's own and the matrix's, the later ones winning
  std::string follow;         // name of the entry whose recorded tokens are fed; empty: none
  std::string replay_routes;  // name of the entry whose recorded routes are taken; empty: none
  std::string compare_with;   // name of the entry it is compared with; empty: nothing (a reference)
  int gpu = -1;               // single-device runs: on this device of the machine; -1: any
  bool predict = false;       // as shards on one device, also where the machine has the ranks
  std::vector<std::string>
      engine;           // words of another engine's command ({ranks} filled in); empty: shardrift-run
  int ranks = 1;        // devices that this takes
  bool checks = false;  // it takes --check as well: says whether it could run, and computes nothing
  int line = 0;
};

// How the finished records are judged; handed on to the analysis as it is.
struct Judgement {
  std::string preset;                // of thresholds: bitwise, strict, serving; empty: the default
  std::filesystem::path thresholds;  // a file of thresholds instead
  bool report = true;                // write report.html
  int line = 0;
};

struct Study {
  std::filesystem::path file;  // absolute; empty: made by a command (scale-out)
  std::string text;            // the file as read: its copy is kept beside the records
  std::string name;
  std::string question;
  std::vector<Entry> entries;  // references first within their group; entries after those they read
  Judgement judgement;

  const Entry* find(const std::string& name) const;
};

// Flags given on the command line: they replace [run]'s values (and a section's own value of the same flag is
// kept, because it is what the section varies).
using Overrides = std::vector<std::pair<std::string, std::string>>;

// Reads and checks everything that does not need the model: syntax, keys, types, names, matrices, who follows
// whom. Paths in the file (model, prompts, collective-profile) are taken from the file's own folder. Throws
// bad_data "FILE:LINE: key: what is wrong and what to write".
Study load_study(const std::filesystem::path& path, const Overrides& overrides = {});
Study study_from_text(const std::string& text, const std::filesystem::path& path,
                      const Overrides& overrides = {});

}  // namespace shardrift::study
