// Many runs in one set of ranks: mpirun -n R run_cases FILE. A line of FILE is the command line of one
// `shardrift-run run`, its words between tabs. Starting ranks (CUDA, torch, NCCL) takes seconds, a run of a
// fixture model a fraction of one.
#include <cstdio>
#include <exception>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "common/leave.hpp"
#include "worker/run.hpp"

namespace {

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  std::istringstream text(line);
  for (std::string word; std::getline(text, word, '\t');) words.push_back(word);
  return words;
}

void run_all(const shardrift::World& world, const std::string& path) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    try {
      shardrift::run_command(world, words_of(line), {});
    } catch (const std::exception& error) {
      std::fprintf(stderr, "rank %d: %s\n  from: %s\n", world.rank(), error.what(), line.c_str());
      world.abort(1);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  {
    const shardrift::World world(argc, argv);
    run_all(world, argv[1]);
  }
  shardrift::leave(0);
}
