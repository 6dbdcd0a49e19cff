// config.json and, behind a zero byte, generation_config.json.
#include "tests/fuzz/targets/input.hpp"
#include "weights/model_config.hpp"

using namespace shardrift;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = fuzz::text_of(data, size);
  const auto end = text.find('\0');
  fuzz::write("config.json", text.substr(0, end));
  fuzz::write("generation_config.json", end == text.npos ? "{}" : text.substr(end + 1));
  return fuzz::read_or_refuse([&] { read_model_config(fuzz::folder()); });
}
