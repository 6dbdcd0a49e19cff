// tokenizer.model, and texts through it.
#include "tests/fuzz/targets/input.hpp"
#include "tokenizer/tokenizer.hpp"

using namespace shardrift;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto path = fuzz::write("tokenizer.model", fuzz::text_of(data, size));
  return fuzz::read_or_refuse([&] {
    const auto tokenizer = Tokenizer::open(path);
    for (const char* text : {"", " ", "abba  <s> 12\n\u6f22ab<s>!", "\u2581e\u0301Q \u00bd ab ba aaaa"}) {
      fuzz::read_or_refuse([&] {
        const auto ids = tokenizer.encode(text);
        tokenizer.decode(ids);
      });
    }
    for (std::int32_t id = -1; id <= tokenizer.size() && id < 300; ++id) {
      fuzz::read_or_refuse([&] { tokenizer.decode({id}), tokenizer.token_text(id); });
    }
  });
}
