#include "common/system_reason.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <new>
#include <stdexcept>
#include <system_error>

namespace shardrift {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(SystemReason, LimitsComeWithTheirRemedy) {
  EXPECT_THAT(system_reason(EFBIG), AllOf(HasSubstr("File too large"), HasSubstr("ulimit -f")));
  EXPECT_THAT(system_reason(EMFILE), HasSubstr("ulimit -n"));
  EXPECT_THAT(system_reason(EAGAIN), HasSubstr("ulimit -u"));
  EXPECT_EQ(system_reason(ENOENT), "No such file or directory");
}

TEST(SystemReason, OfWhatTheLibraryThrows) {
  const std::system_error thread(EAGAIN, std::generic_category(), "anything");
  EXPECT_THAT(reason_of(thread), AllOf(HasSubstr("a thread cannot be started: "), HasSubstr("ulimit -u")));
  EXPECT_THAT(reason_of(std::bad_alloc()), HasSubstr("ulimit -v"));
  EXPECT_EQ(reason_of(std::runtime_error("as it is")), "as it is");
}

}  // namespace
}  // namespace shardrift
