// What a profiler is told of where the process is: ranges that nest and all end.
#include "common/progress.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/phase_listener.hpp"

namespace shardrift::progress {
namespace {

std::vector<std::string> g_told;
int g_open = 0;

void tell_begin(const char* what, std::int64_t number) {
  g_told.push_back(std::string(static_cast<std::size_t>(g_open++), ' ') + what +
                   (number < 0 ? "" : " " + std::to_string(number)));
}
void tell_end() {
  --g_open;
}

TEST(Phases, AreRangesThatNest) {
  at("before anybody listens");
  {
    const Doing before("opened before");
    listen({tell_begin, tell_end});
    at("layer", 1);
  }
  EXPECT_EQ(g_open, -1) << "the scope's own range, which nobody heard begin";
  g_open = 0;
  g_told.clear();
  at("one");
  at("layer", 2);
  {
    const Waiting waiting(On::device, "a pass");
    at("inside");
    at("inside still");
    const Doing deeper("deeper", 7);
    at("deepest");
  }
  at("layer", 3);
  EXPECT_EQ(g_told, (std::vector<std::string>{"one", "layer 2", " a pass", "  inside", "  inside still",
                                              "   deeper 7", "    deepest", "layer 3"}));
  EXPECT_EQ(g_open, 1);
  { const Doing last("last"); }
  EXPECT_EQ(g_open, 1);
  EXPECT_EQ(state().text, "layer 3");
}

}  // namespace
}  // namespace shardrift::progress
