// A foreign run as a record, by the durable writer of src/record.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "foreign/foreign_run.hpp"

namespace shardrift::foreign {

// What the files do not say.
struct About {
  std::string engine;                          // who computed it, in the user's words; not empty
  std::string dtype;                           // that the engine computed in; empty: not known
  std::filesystem::path model;                 // the model that it ran; empty: not known
  std::string command;                         // this import's
  std::string version;                         // of this program
  std::vector<std::filesystem::path> sources;  // all files that were read: an output of other ones is refused
};

// The run's header: model (its weights hashed, where they are not yet), plan {"engine": …}, mode. Throws
// bad_data where the model's vocabulary is another.
record::RunInfo describe(const ForeignRun& run, const About& about);

struct Target {
  std::filesystem::path output;
  bool overwrite = false;
};
// After choose_all. Throws as prepare_output and PartWriter do; usage_error where the output is one of the
// sources; bad_data where the vocabulary is larger than a record's.
void write_foreign(const ForeignRun& run, const About& about, const Target& target);

}  // namespace shardrift::foreign
