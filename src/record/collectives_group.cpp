// /environment/collectives/<n>: what the collectives did.
#include <array>

#include "common/error.hpp"
#include "record/hdf5_fields.hpp"
#include "record/hdf5_types.hpp"
#include "record/record_fields.hpp"
#include "record/schema.hpp"

namespace shardrift::record {
namespace {

constexpr std::size_t kMaxCollectives = 100'000;

void write_collective(hid_t group, const CollectiveInfo& one) {
  h5::write_fields(group, one);
  std::vector<std::int64_t> words;
  for (const auto& segment : one.segments)
    words.insert(words.end(), {segment.begin, segment.end, segment.tree});
  h5::write_dataset(group, "segments", h5::int64_type(), std::array<hsize_t, 2>{one.segments.size(), 3},
                    words.data(), "elements [begin, end) and the row of trees that adds them");
  h5::write_texts(group, "trees", one.trees, "which tree over the ranks, or 'not binary'");
}

std::vector<CollectiveSegment> read_segments(const h5::Group& group, std::int64_t count, std::size_t trees) {
  const auto data = group.dataset("segments");
  if (data.dims().size() != 2) throw h5::Hdf5Error(data.path() + ": is not [n, 3]");
  data.require_dims({data.dims()[0], 3});
  const auto type = h5::int64_type();
  data.require_type(type, "int64");
  data.require_readable();
  std::vector<std::int64_t> words(data.dims()[0] * 3);
  data.read(type, words.data());
  std::vector<CollectiveSegment> segments;
  std::int64_t next = 0;
  for (std::size_t i = 0; i < words.size(); i += 3) {
    const CollectiveSegment segment{words[i], words[i + 1], words[i + 2]};
    const bool sound = segment.begin == next && segment.end > next && segment.tree >= 0 &&
                       segment.tree < static_cast<std::int64_t>(trees);
    if (!sound)
      throw h5::Hdf5Error(fmt::format("{}: row {} is no segment after element {}", data.path(), i / 3, next));
    next = segment.end;
    segments.push_back(segment);
  }
  if (next != count)
    throw h5::Hdf5Error(fmt::format("{}: covers {} of {} elements", data.path(), next, count));
  return segments;
}

CollectiveInfo read_collective(const h5::Group& group) {
  CollectiveInfo one;
  h5::read_fields(group, one);
  one.trees = group.read_texts("trees");
  one.segments = read_segments(group, one.count, one.trees.size());
  return one;
}

}  // namespace

void write_collectives(hid_t environment, const std::vector<CollectiveInfo>& collectives) {
  if (collectives.empty()) return;
  const auto group =
      h5::create_group(environment, "collectives", "which sums over ranks ran, and in which order they add");
  for (std::size_t i = 0; i < collectives.size(); ++i)
    write_collective(h5::create_group(group, std::to_string(i), "one operation on messages of one size"),
                     collectives[i]);
}

std::vector<CollectiveInfo> read_collectives(const h5::Group& environment) {
  std::vector<CollectiveInfo> collectives;
  if (!environment.has("collectives")) return collectives;
  const auto group = environment.group("collectives");
  for (std::size_t i = 0; i < kMaxCollectives && group.has(std::to_string(i)); ++i)
    collectives.push_back(read_collective(group.group(std::to_string(i))));
  return collectives;
}

}  // namespace shardrift::record
