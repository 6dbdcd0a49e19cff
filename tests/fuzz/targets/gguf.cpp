// A GGUF file: its tensors decoded, the config.json and the tokenizer that it stands for.
#include "weights/gguf/gguf_file.hpp"

#include <algorithm>

#include "tests/fuzz/targets/input.hpp"
#include "tokenizer/tokenizer.hpp"
#include "weights/codings/matrix_coding.hpp"
#include "weights/gguf/gguf_blocks.hpp"
#include "weights/gguf/gguf_model.hpp"
#include "weights/model_config.hpp"
#include "weights/safetensors.hpp"

using namespace shardrift;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto path = fuzz::write("model.gguf", fuzz::text_of(data, size));
  fuzz::read_or_refuse([&] {
    const auto model = GgufModel::open(path);
    for (const auto& named : model.matrices()) {
      const GgufMatrix& matrix = named.second;
      if (!decodes(*matrix.type) || matrix.shape.empty()) continue;
      fuzz::read_or_refuse([&] {
        // The last row, exactly as long as it may be: what is written beyond it is found.
        const auto row = matrix.shape.size() == 1 ? matrix.shape[0] : matrix.shape.back();
        auto end = row;
        for (std::size_t i = 0; i + 1 < matrix.shape.size(); ++i) end *= matrix.shape[i];
        if (matrix.shape.size() > 2) return;
        std::vector<std::byte> out(static_cast<std::size_t>(row) * size_of(decoded_dtype(matrix)));
        decode_elements(model, matrix, end - row, end, out.data());
      });
    }
  });
  fuzz::read_or_refuse([&] {
    const auto tokenizer = Tokenizer::open(path);
    tokenizer.encode("Hello, 12 w\u00F6rlds\n");
    for (std::int32_t id = 0; id < std::min<std::int64_t>(tokenizer.size(), 20); ++id) tokenizer.token_text(id);
  });
  return fuzz::read_or_refuse([&] {
    const auto model = read_model_config(path);
    const auto checkpoint = Checkpoint::open(path);
    const auto coding = matrix_coding(model, checkpoint);
    for (const auto& tensor : checkpoint.stored())
      if (coding->holds(tensor.name))
        fuzz::read_or_refuse([&] { coding->check(tensor.name, tensor.shape); });
  });
}
