// A prompts file.
#include "prompts/prompts_file.hpp"

#include "tests/fuzz/targets/input.hpp"

using namespace shardrift;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto path = fuzz::write("prompts.jsonl", fuzz::text_of(data, size));
  return fuzz::read_or_refuse([&] { check_prompts(read_prompts_file(path), 11, size % 2 == 0); });
}
