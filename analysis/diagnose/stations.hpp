// How far a run is from another at every place where both were looked into: the distance of each row of an
// operation's output, from sketches (common/sketch.hpp), of the residual stream, or of the logits.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "common/dtype.hpp"
#include "common/named_enum.hpp"
#include "record/reader.hpp"

namespace shardrift::analysis {

// What two records have in common, from least to most.
enum class Seen {
  nothing,     // no logits in one of them
  logits,      // of every row
  streams,     // … and the residual stream after every layer (--record hidden)
  operations,  // … and the sketches of every operation's output (--sketches)
};
constexpr auto names_of(Seen) {
  return std::to_array<Named<Seen>>({{Seen::nothing, "nothing"},
                                     {Seen::logits, "logits"},
                                     {Seen::streams, "streams"},
                                     {Seen::operations, "operations"}});
}

inline constexpr int kWholeRow = -1;

struct Station {
  record::Point point;    // of a residual stream: embedding, or mlp_residual of its layer
  int shard = kWholeRow;  // whose columns; kWholeRow: all
  bool operator==(const Station&) const = default;
};

struct StationDistances {
  Station station;
  // [rows of the target] each: ‖run - target‖ and ‖target‖, Euclidean; NaN where the run has no such row.
  // From sketches both are estimates from kSketches projections.
  std::vector<double> distance, norm;
};

struct RowName {
  std::string prompt;
  std::int64_t step = 0;      // row of the target in that prompt
  std::int32_t position = 0;  // of the token fed there
};

struct RunDistances {
  Seen seen = Seen::nothing;
  std::int64_t rows = 0;                // compared
  std::int64_t rows_differ = 0;         // whose logits have other bits
  std::int64_t elements_differ = 0;     // logits
  DType logits_dtype = DType::float64;  // the run's, as stored: what was rounded to it is no difference
  std::vector<StationDistances>
      stations;  // in running order; of one operation the whole row first, then shards
  const StationDistances* find(const Station& station) const;
};

// The rows of a record, prompt by prompt: what the vectors above are indexed by.
std::vector<RowName> rows_of(const record::Reader& target);

// What every prompt of a record has, and so could be held against another run.
Seen recorded_in(const record::Reader& run);

// Whether a record's logits are log-probabilities of which those far below the largest were cut off, as its
// settings say (llama.cpp's --kl-divergence-base): what is left of them bears no distance of rows.
bool is_cut_off(const record::Reader& run);

// Rows of both that distances() compares: fed the same tokens at the same positions. Throws bad_data
// likewise.
std::int64_t common_rows(const record::Reader& target, const record::Reader& run);

// Rows of both that were fed the same tokens at the same positions. Operations that lie on shards are
// compared shard by shard where both runs have as many, and as whole rows where they are whole tensors.
// Memory: one prompt's sketches of both, and two numbers a row and station. Throws bad_data where a prompt's
// tokens or the vocabularies are not the same.
RunDistances distances(const record::Reader& target, const record::Reader& run);

}  // namespace shardrift::analysis
