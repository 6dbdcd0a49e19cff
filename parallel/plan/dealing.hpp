// How a model's units (heads, MLP columns, vocabulary rows, layers) are dealt to shards and stages.
// Pure arithmetic; the rules are equality rules: every machine size must cut in the same places.
#pragma once
#include <cstdint>
#include <vector>

namespace shardrift {

struct Range {  // [begin, end)
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end - begin; }
  bool empty() const { return begin == end; }
  bool contains(std::int64_t i) const { return begin <= i && i < end; }
  bool operator==(const Range&) const = default;
};

// n units over `parts`: contiguous, the first n mod parts get one more. parts >= 1, 0 <= part < parts.
Range deal(std::int64_t n, int parts, int part);

// Columns of an MLP: dealt in blocks of 64, the last block may be short (of 1 column where n < 64 · parts).
Range deal_columns(std::int64_t n, int parts, int part);

// Query heads by head; with them every KV head they read, also where another shard holds the same KV head.
struct HeadShare {
  Range query;                         // of the model's query heads
  Range kv;                            // of the model's KV heads; empty where query is
  std::vector<std::int32_t> local_kv;  // [query.size()] index into kv, for each query head of the shard
};
// query_heads must be a multiple of kv_heads.
HeadShare deal_heads(std::int64_t query_heads, std::int64_t kv_heads, int parts, int part);

// Vocabulary rows: every shard's slice is zero-padded to one width, pads are dropped after the gather.
struct VocabShare {
  Range rows;              // of the model's vocabulary
  std::int64_t width = 0;  // ceil(vocabulary / parts), the same for every shard
};
VocabShare deal_vocabulary(std::int64_t vocabulary, int parts, int part);
int vocabulary_owner(std::int64_t vocabulary, int parts, std::int64_t token);

}  // namespace shardrift
