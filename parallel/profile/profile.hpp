// A collective profile: what the collectives of one machine were seen to do, usable on another machine that
// predicts it. Written by `shardrift-run probe --save-profile` and, of an engine's own all-reduce, by
// scripts/python/probe_collective.py; read by `shardrift-run run --reduction profile`.
//
// The file is JSON, one object:
//   format            "shardrift collective profile 1"
//   library, library_version, transport   "nccl", "2.28.9", "nccl"; "mpi", "Open MPI v4.1.4", "mpi"; of our
//   own
//                     collectives "shardrift", "0.1.0", "one-shot" or "two-shot"; of an engine's the name and
//                     version that the person who probed it gave, and "python"
//   ranks             2 to 8
//   device, machine   GPU or CPU model; host names
//   variables         {name: value}: what pins or steers the library's choice, as found
//   date              ISO 8601, of the last probe
//   model             null, or {"kind": "openmpi", "all_reduce": "auto"}, or {"kind": "peer", "all_reduce":
//   "one-shot"}
//                     (sums 16-bit messages in float32, rounded once), or {"kind": "nccl", "algorithm":
//   "ring",
//                     "channels": [24], "rings": [[0, 1, 2, 3]], "spans": [[first bytes, last bytes, lowest
//                     protocol, highest protocol], …], "trees": ["(0+2)+1", …] (each channel's; only
//                     where channels differ)}: inferred from the probes; several channel counts where they do
//                     not tell them apart
//   told_spans        like spans, exact: where the library said its protocol changes; only where it was asked
//   probed            [{operation, dtype, count, calls, accumulator ("message", …, null), first_unexplained,
//                     model_agrees (true, false, null), told [algorithm, protocol, channels] (only where the
//                     library said what it took), captured (only where true: in a CUDA graph), seen (why it
//                     cannot be predicted, in words; only where it cannot), trees
//                     ["((1+2)+3)+0", …], segments [[begin, end, tree], …]}, …]; tree -1: not binary
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "parallel/profile/collective_model.hpp"

namespace shardrift {

struct CollectiveProfile {
  std::string library;
  std::string library_version;
  std::string transport;
  int ranks = 0;
  std::string device;
  std::string machine;
  std::map<std::string, std::string> variables;
  std::string date;
  CollectiveModel model;
  std::vector<NcclProtocolSpan> told_spans;
  std::vector<ProbedCollective> probed;  // one for each (operation, dtype, count, captured), sorted by these
  std::filesystem::path file;            // where it was read from, for messages

  const ProbedCollective* find(CollectiveOperation operation, DType dtype, std::int64_t count,
                               bool captured = false) const;

  // The tree of every element of that message, to be folded with `accumulator`; `captured`: where it is
  // summed inside a CUDA graph, of which eager probes say nothing, but for the sums that have one order
  // (below). The probed map where that count was probed; else the model's, but only where that operation and
  // dtype was probed so at all and the model reproduces every one of these probes, or the model is a name.
  // Throws usage_error naming the count and the command that probes it. tf32 is float32.
  OrderMap map_for(CollectiveOperation operation, DType dtype, std::int64_t count,
                   bool captured = false) const;

  // Eager or captured, the order is one: of two ranks, of our own all-reduces, and of a name.
  bool one_order() const { return ranks == 2 || std::holds_alternative<PeerModel>(model) || named(); }
  // Whether map_for may know a captured sum of that kind.
  bool knows_captured(CollectiveOperation operation, DType dtype) const;

  // Where these sums round: as the model says; without one, as the first probe of that dtype saw, else at
  // every add (message).
  Accumulator accumulator(DType dtype) const;
  bool of_engine() const { return transport == "python"; }
  bool named() const { return std::holds_alternative<NamedOrder>(model); }  // profile_of_order

  // Adds or replaces one probe and keeps the order.
  void add(ProbedCollective collective);
};

// Throws usage_error naming the first field in which they differ: another library, version, machine, device,
// number of ranks or pinned variable. Date, model and probes may differ.
void require_same_machine(const CollectiveProfile& saved, const CollectiveProfile& now);

// No machine's: how `ranks` ranks add by an order of --reduction. It knows every message that the order
// takes, and is not written to a file; `file` is the name. Throws usage_error on text that names no such
// order (native and profile are none), and on ranks that the order never sums.
CollectiveProfile profile_of_order(std::string_view order, int ranks);

// Every value is checked; bad_data names file and key.
CollectiveProfile read_profile(const std::filesystem::path& path);
CollectiveProfile profile_from_json(std::string_view text, const std::string& where);
std::string profile_to_json(const CollectiveProfile& profile);
// Written beside and renamed: the old file or the new one, never half of one. Throws failure.
void write_profile(const CollectiveProfile& profile, const std::filesystem::path& path);

}  // namespace shardrift
