// How a difference grows along layers, positions and prompt lengths.
#pragma once
#include "analysis/explain/explanation.hpp"
#include "analysis/measure/alignment.hpp"
#include "record/reader.hpp"

namespace shardrift::analysis {

// Sums over rows of one residual stream each.
class StreamSums {
 public:
  // Adds the aligned rows of one prompt, where both files have hidden states of one shape. False: they have
  // not.
  bool add(const record::Reader& reference, const record::Reader& candidate, const std::string& id,
           const record::Hidden& r, const record::Hidden& c, const Alignment& alignment);
  std::vector<StreamGrowth> growth() const;

 private:
  struct Sums {
    StreamGrowth counts;
    double squares_reference = 0;
    double squares_difference = 0;
    std::vector<double> rows;  // RMS of the difference / RMS of the reference, of each row
  };
  void add_row(Sums& sums, const std::byte* reference, const std::byte* candidate, const record::Hidden& r,
               const record::Hidden& c);
  std::vector<Sums> streams_;
  std::vector<double> x_, y_;
};

// Groups of a Measurement's steps; without logits in both files: none.
std::vector<RowGroup> by_position(const Measurement& measurement);
std::vector<RowGroup> by_position_range(const Measurement& measurement);
std::vector<RowGroup> by_prompt_length(const Measurement& measurement);

}  // namespace shardrift::analysis
