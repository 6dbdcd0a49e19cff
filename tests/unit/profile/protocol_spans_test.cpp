// Where the protocol changes, found by asking; and what NCCL told, used to explain maps.
#include "parallel/profile/protocol_spans.hpp"

#include <gmock/gmock.h>

#include "tests/unit/profile/example_profile.hpp"

namespace shardrift {
namespace {

using testing::as_probed;
using ::testing::ElementsAre;
using testing::h100_map;
using testing::h100_protocol;
using enum NcclProtocol;

TEST(ProtocolSpans, BracketsEveryChangeToOneElement) {
  int calls = 0;
  const auto spans = find_protocol_spans(
      [&](std::int64_t count) {
        ++calls;
        return std::optional(h100_protocol(2 * count));
      },
      1, std::int64_t{32} << 20, 2);
  EXPECT_THAT(spans, ElementsAre(NcclProtocolSpan{2, 2'500'000, ll, ll},
                                 NcclProtocolSpan{2'500'002, 9'400'000, ll128, ll128},
                                 NcclProtocolSpan{9'400'002, std::int64_t{64} << 20, simple, simple}));
  EXPECT_LT(calls, 80);
}

TEST(ProtocolSpans, OneProtocolIsOneSpan) {
  EXPECT_THAT(find_protocol_spans([](std::int64_t) { return std::optional(simple); }, 1, 1000, 4),
              ElementsAre(NcclProtocolSpan{4, 4000, simple, simple}));
}

TEST(ProtocolSpans, EmptyWhereAnAnswerIsMissing) {
  const auto ask = [](std::int64_t count) {
    return count == 1 ? std::optional(ll) : count == 1000 ? std::optional(simple) : std::nullopt;
  };
  EXPECT_TRUE(find_protocol_spans(ask, 1, 1000, 4).empty());
}

ProbedCollective told(std::int64_t count, NcclProtocol protocol, int channels) {
  auto one = as_probed(h100_map(count, DType::bfloat16), DType::bfloat16);
  one.told = CollectiveChoice{"ring", std::string(name_of(protocol)), channels};
  return one;
}

int used(std::int64_t count, NcclProtocol protocol) {
  return static_cast<int>(nccl_ranges(count, DType::bfloat16, 4, 24, NcclAlgorithm::ring, protocol).size());
}

// With the changes told, every size between the probes has one map, and the right one.
TEST(Told, SpansLeaveNoSizeOpen) {
  const auto ask = [](std::int64_t count) { return std::optional(h100_protocol(2 * count)); };
  const auto spans = find_protocol_spans(ask, 1, std::int64_t{32} << 20, 2);
  std::vector<ProbedCollective> probed;
  for (const std::int64_t count : {4096, 69'632, 1'048'576, 5'734'400})
    probed.push_back(told(count, h100_protocol(2 * count), used(count, h100_protocol(2 * count))));
  const auto model = infer_nccl_model(probed, {}, spans);
  ASSERT_TRUE(model);
  EXPECT_THAT(model->channels, ElementsAre(24));
  for (std::int64_t tokens = 1; tokens <= 2048; ++tokens) {
    const auto map = model_map(*model, CollectiveOperation::all_reduce, 4, tokens * 4096, DType::bfloat16);
    ASSERT_TRUE(map) << tokens;
    ASSERT_EQ(*map, h100_map(tokens * 4096, DType::bfloat16)) << tokens;
  }
}

// NCCL's word and the maps check each other: where they contradict, nothing explains the message.
TEST(Told, AWordThatContradictsTheMapExplainsNothing) {
  constexpr std::int64_t kCount = 69'632;
  const int channels = used(kCount, ll);
  EXPECT_TRUE(infer_nccl_model({told(kCount, ll, channels)}, {}));
  EXPECT_FALSE(infer_nccl_model({told(kCount, simple, channels)}, {}));
  EXPECT_FALSE(infer_nccl_model({told(kCount, ll, channels + 1)}, {}));
  auto tree = told(kCount, ll, channels);
  tree.told->algorithm = "tree";
  EXPECT_FALSE(infer_nccl_model({tree}, {}));
  const std::vector<NcclProtocolSpan> wrong{{2, 1 << 20, ll128, ll128}};
  EXPECT_FALSE(infer_nccl_model({told(kCount, ll, channels)}, {}, wrong));
}

TEST(Told, IsKeptInTheFile) {
  auto profile = testing::example_profile();
  profile.probed.front().told = CollectiveChoice{"ring", "ll", 3};
  profile.told_spans = {{2, 2'500'000, ll, ll}, {2'500'002, 9'400'000, ll128, ll128}};
  const auto again = profile_from_json(profile_to_json(profile), "again");
  EXPECT_EQ(again.probed.front().told, profile.probed.front().told);
  EXPECT_EQ(again.probed.back().told, std::nullopt);
  EXPECT_EQ(again.told_spans, profile.told_spans);
  auto text = profile_to_json(profile);
  text.replace(text.find(R"("told":["ring")"), 14, R"("told":[17,"x")");
  EXPECT_THAT(testing::message_of([&] { profile_from_json(text, "bad.json"); }),
              ::testing::HasSubstr("told"));
}

}  // namespace
}  // namespace shardrift
