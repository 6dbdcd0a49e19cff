// One answer of a server, whichever API gave it: tokens with the most likely ones at their place.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace shardrift::foreign {

struct Candidate {
  std::int32_t id = 0;
  double log_probability = 0;
};

// The token that stands at a place of the text, and the most likely ones there (in any order, itself among
// them or not): those of the row of logits after the token before.
struct Place {
  std::int32_t token = 0;
  std::optional<double> own;  // the token's log-probability, where it is said beside the list
  std::vector<Candidate> top;
};

struct Answer {
  std::string where;                                // "answers.jsonl line 3"
  std::optional<std::string> id;                    // the prompt's
  std::optional<std::vector<std::int32_t>> prompt;  // its tokens
  std::optional<std::int64_t> fed;                  // how many tokens the server says its prompt had
  std::vector<Place> given;  // of the prompt's tokens from the second on; empty: not asked for
  std::vector<Place> generated;
  std::string part_of_prompt;  // why there are no rows of the prompt's tokens, where some of them had any
  std::string incomplete;      // why not every generated token has its place here, where some have not
  std::string stop;            // eos | length; empty: not said
  bool with_ids = false;       // as llama.cpp says them: of all generated tokens, the end of a text too
  std::int64_t dropped = 0;    // of top lists: texts that are no token's
  // Places without a top list: the token itself stands for it.
  std::int64_t alone = 0;        // of generated
  std::int64_t given_alone = 0;  // of given
};

}  // namespace shardrift::foreign
