// OpenMPI's model as such; tests/integration/probe_test.cpp checks it against the live library.
#include "parallel/order_models/openmpi_order.hpp"

#include <gtest/gtest.h>

#include "common/error.hpp"

namespace shardrift {
namespace {

std::string text(std::int64_t count, DType dtype, int ranks, OpenMpiAllReduce algorithm) {
  const auto map = openmpi_all_reduce_map(count, dtype, ranks, algorithm);
  return map ? describe(*map) : "unknown";
}

TEST(OpenMpi, Trees) {
  using enum OpenMpiAllReduce;
  EXPECT_EQ(text(9, DType::float32, 4, recursive_doubling), "[0, 9) (0+1)+(2+3)");
  EXPECT_EQ(text(9, DType::float32, 3, recursive_doubling), "[0, 9) (0+1)+2");
  EXPECT_EQ(text(9, DType::float32, 7, recursive_doubling), "[0, 9) ((0+1)+(2+3))+((4+5)+6)");
  EXPECT_EQ(text(9, DType::float32, 4, basic_linear), "[0, 9) ((2+3)+1)+0");
  EXPECT_EQ(text(10, DType::float32, 4, ring),
            "[0, 3) ((0+1)+2)+3 / [3, 6) ((1+2)+3)+0 / [6, 8) ((2+3)+0)+1 / [8, 10) ((0+3)+1)+2");
  EXPECT_EQ(text(3, DType::float32, 4, ring), "[0, 3) (0+1)+(2+3)");
  EXPECT_EQ(text(3, DType::float32, 4, rabenseifner), "[0, 3) ((2+3)+1)+0");
  EXPECT_EQ(text(4, DType::float32, 4, rabenseifner), "[0, 4) (0+1)+(2+3)");
}

TEST(OpenMpi, TheChoiceGoesByBytes) {
  using enum OpenMpiAllReduce;
  for (const auto& [bytes, algorithm] :
       std::vector<std::pair<std::int64_t, OpenMpiAllReduce>>{{4, ring},
                                                              {8, recursive_doubling},
                                                              {4095, recursive_doubling},
                                                              {4096, ring},
                                                              {8191, ring},
                                                              {8192, recursive_doubling},
                                                              {16383, recursive_doubling},
                                                              {16384, ring},
                                                              {262143, ring},
                                                              {262144, rabenseifner}})
    EXPECT_EQ(openmpi_choice(bytes, 3), algorithm) << bytes;
  EXPECT_EQ(openmpi_choice(15, 4), ring);
  EXPECT_EQ(openmpi_choice(16, 4), recursive_doubling);
  EXPECT_EQ(openmpi_choice(8192, 4), rabenseifner);
  EXPECT_EQ(openmpi_choice(8192, 8), std::nullopt);
  // The same count is another message in another dtype.
  EXPECT_EQ(text(1024, DType::bfloat16, 3, automatic), "[0, 1024) (0+1)+2");
  EXPECT_NE(text(1024, DType::float32, 3, automatic), "[0, 1024) (0+1)+2");
  EXPECT_EQ(text(100, DType::float32, 8, automatic), "unknown");
}

TEST(OpenMpi, NamesAndRefusals) {
  for (int number : {0, 1, 3, 4, 6}) {
    bool found = false;
    for (const auto* name : {"auto", "basic-linear", "recursive-doubling", "ring", "rabenseifner"})
      found = found || openmpi_algorithm_number(named<OpenMpiAllReduce>("--mpi-allreduce", name)) == number;
    EXPECT_TRUE(found) << number;
  }
  EXPECT_THROW(named<OpenMpiAllReduce>("--mpi-allreduce", "Ring"), Error);
  EXPECT_THROW(openmpi_all_reduce_map(1, DType::float32, 1, OpenMpiAllReduce::ring), Error);
  EXPECT_THROW(openmpi_all_reduce_map(0, DType::float32, 2, OpenMpiAllReduce::ring), Error);
}

}  // namespace
}  // namespace shardrift
