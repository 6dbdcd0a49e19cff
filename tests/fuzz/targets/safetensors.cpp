// A safetensors file, and a block of each of its tensors.
#include "weights/safetensors.hpp"

#include <algorithm>

#include "tests/fuzz/targets/input.hpp"

using namespace shardrift;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto path = fuzz::write("model.safetensors", fuzz::text_of(data, size));
  fuzz::read_or_refuse([&] {
    const auto file = SafetensorsFile::open(path);
    for (const auto& name : file.names()) {
      fuzz::read_or_refuse([&] {
        const auto tensor = file.find(name);
        if (tensor->shape.empty() || tensor->shape.size() > 2) return;
        const auto rows = tensor->shape.size() == 2 ? tensor->shape[0] : 1;
        const auto cols = tensor->shape.back();
        // The last row, exactly as long as it may be: what is written beyond it is found.
        const std::int64_t row = std::max<std::int64_t>(0, rows - 1);
        const auto taken = std::min<std::int64_t>(rows, 1);
        std::vector<std::byte> out(
            tensor->bytes == 0 ? 0 : static_cast<std::size_t>(cols) * size_of(tensor->dtype));
        copy_block(*tensor, row, taken, 0, cols, out.data());
      });
    }
  });
  return fuzz::read_or_refuse([&] {
    const auto checkpoint = Checkpoint::open(fuzz::folder());
    for (const auto& name : checkpoint.names()) checkpoint.contains(name);
  });
}
