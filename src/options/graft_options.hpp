// The command line of shardrift-run graft: a candidate's plan, as of a run, and what is put into it.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "common/field_table.hpp"
#include "common/named_enum.hpp"
#include "options/own_flag.hpp"
#include "options/run_options.hpp"

namespace shardrift {

// Whose tensors are put into the candidate.
enum class GraftSource {
  reference,  // one device's, of one shard
  candidate,  // its own: a control, which changes no bit
};
constexpr auto names_of(GraftSource) {
  return std::to_array<Named<GraftSource>>(
      {{GraftSource::reference, "reference"}, {GraftSource::candidate, "candidate"}});
}

struct GraftOptions {
  RunOptions run;  // the model, the tokens, the candidate's plan; output: the JSON file
  std::string graft;
  GraftSource from = GraftSource::reference;
};

constexpr auto fields_of(std::type_identity<GraftOptions>) {
  return std::tuple{
      OwnFlag{"graft", &GraftOptions::graft,
              "OPERATION:LAYER, OPERATION:all for every layer in turn, or an operation outside the layers, "
              "e.g. attention_sum:3, mlp_residual:all, logits"},
      OwnFlag{"from", &GraftOptions::from,
              "whose tensors: reference (one device, one shard; default) or candidate (its own: a control)"},
  };
}
// The run's fields have a table of their own.
static_assert(field_count<GraftOptions>() == member_count<GraftOptions>() - 1,
              "a member of GraftOptions has no row above");

// Flags of a run that a graft takes as they are, beside the plan's.
bool is_graft_flag_of_run(std::string_view key);

// arguments: what follows "graft". Throws usage_error.
GraftOptions parse_graft_options(const std::vector<std::string>& arguments, bool& helped);
std::string graft_help();

}  // namespace shardrift
