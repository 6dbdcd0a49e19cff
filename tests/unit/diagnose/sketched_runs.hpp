// Score records with chosen logits and sketches: every operation's output is a row of four numbers, a shard's
// of two.
#pragma once
#include <filesystem>

#include "tests/unit/explain/traced_runs.hpp"

namespace shardrift::analysis::testing {

inline record::RunInfo sketched_run(int shards) {
  return score_run(fmt::format(R"(,"shards":{0},"tensor_parallel":{0})", shards));
}

// Sets what a row's output of one operation is.
inline void set_output(record::PromptRecord& prompt, const record::Point& point, std::int64_t shard,
                       std::int64_t row, const std::vector<float>& values, std::int64_t index = 0) {
  auto* sketch = prompt.sketches.values.data() + prompt.sketches.index_of_row(point, shard, row);
  std::fill(sketch, sketch + kSketches, 0.0);
  add_to_sketch(reinterpret_cast<const std::byte*>(values.data()), static_cast<std::int64_t>(values.size()),
                DType::float32, index, sketch);
}

// Every output is 1, 2, 3, 4, dealt to one or two shards.
inline record::PromptRecord sketched_prompt(const std::string& id, std::int64_t index, const Rows& rows,
                                            int shards) {
  const auto run = sketched_run(shards);
  auto prompt = scored_prompt(run, id, index, rows);
  prompt.checksums.sums.clear();  // not recorded
  record::Sketches& sketches = prompt.sketches;
  sketches.layers = kLayers;
  sketches.shards = shards;
  sketches.rows = static_cast<std::int64_t>(rows.size());
  sketches.operations = record::first_operations();
  sketches.values.assign(
      static_cast<std::size_t>(record::point_count(kLayers) * shards * sketches.rows * kSketches), 0);
  for (std::int64_t i = 0; i < record::point_count(kLayers); ++i) {
    const auto point = record::point_at(i, kLayers);
    if (!sketches.has(point.operation)) continue;
    for (std::int64_t row = 0; row < sketches.rows; ++row)
      if (shards == 1 || !record::on_shards(point.operation)) {
        set_output(prompt, point, 0, row, {1, 2, 3, 4});
      } else {
        set_output(prompt, point, 0, row, {1, 2});
        set_output(prompt, point, 1, row, {3, 4}, 2);
      }
  }
  return prompt;
}

}  // namespace shardrift::analysis::testing
