// A study file, expanded to its runs.
#include "experiments/study/study.hpp"
#include "tests/fuzz/targets/input.hpp"

using namespace shardrift;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::read_or_refuse(
      [&] { study::study_from_text(std::string(fuzz::text_of(data, size)), "/studies/example.toml", {}); });
}
