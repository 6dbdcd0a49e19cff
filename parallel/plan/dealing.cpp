#include "parallel/plan/dealing.hpp"

#include <algorithm>

namespace shardrift {
namespace {
constexpr std::int64_t kColumnBlock = 64;
std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}
}  // namespace

Range deal(std::int64_t n, int parts, int part) {
  const std::int64_t each = n / parts;
  const std::int64_t more = n % parts;
  const std::int64_t begin = part * each + std::min<std::int64_t>(part, more);
  return {begin, begin + each + (part < more ? 1 : 0)};
}

Range deal_columns(std::int64_t n, int parts, int part) {
  const std::int64_t block = n < kColumnBlock * parts ? 1 : kColumnBlock;
  const Range blocks = deal(ceil_div(n, block), parts, part);
  return {std::min(n, blocks.begin * block), std::min(n, blocks.end * block)};
}

HeadShare deal_heads(std::int64_t query_heads, std::int64_t kv_heads, int parts, int part) {
  const std::int64_t group = query_heads / kv_heads;
  HeadShare share;
  share.query = deal(query_heads, parts, part);
  if (share.query.empty()) return share;
  share.kv = {share.query.begin / group, (share.query.end - 1) / group + 1};
  for (auto q = share.query.begin; q < share.query.end; ++q)
    share.local_kv.push_back(static_cast<std::int32_t>(q / group - share.kv.begin));
  return share;
}

VocabShare deal_vocabulary(std::int64_t vocabulary, int parts, int part) {
  return {deal(vocabulary, parts, part), ceil_div(vocabulary, parts)};
}

int vocabulary_owner(std::int64_t vocabulary, int parts, std::int64_t token) {
  const std::int64_t width = ceil_div(vocabulary, parts);
  const std::int64_t wide = vocabulary % parts == 0 ? parts : vocabulary % parts;  // shards with a full slice
  if (token < wide * width) return static_cast<int>(token / width);
  return static_cast<int>(wide + (token - wide * width) / (width - 1));
}

}  // namespace shardrift
