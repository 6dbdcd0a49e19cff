// main of tests that link torch: gtest's, ended as such programs must be.
#include <gtest/gtest.h>

#include "common/leave.hpp"

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  shardrift::leave(RUN_ALL_TESTS());
}
