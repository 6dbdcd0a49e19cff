#include "held_run.hpp"

#include <fstream>

#include "wait.hpp"

namespace shardrift::testing {
namespace fs = std::filesystem;

std::vector<std::string> holding(const std::string& where, std::vector<std::string> command) {
  command.insert(command.begin(), {"env", "SHARDRIFT_HOLD=" + where});
  return command;
}

bool HeldRun::stands() const {
  std::error_code ignored;
  return fs::exists(held(), ignored);
}

::testing::AssertionResult HeldRun::is_reached(Running& starter) const {
  const auto waited = wait_for(held().string(), [&] { return stands() || starter.has_ended(); });
  if (!waited || stands()) return waited;
  return ::testing::AssertionFailure() << "it ended and " << held() << " is not there:\n"
                                       << starter.wait().output;
}

::testing::AssertionResult HeldRun::is_reached() const {
  return wait_for(held().string(), [&] { return stands(); });
}

int HeldRun::pid() const {
  int number = -1;
  std::ifstream(held()) >> number;
  return number;
}

void HeldRun::let_go() const {
  const std::ofstream made(go());
}

void HeldRun::hold_again() const {
  fs::remove(held());
  fs::remove(go());
}

}  // namespace shardrift::testing
