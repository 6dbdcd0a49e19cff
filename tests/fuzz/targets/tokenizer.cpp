// tokenizer.json, and texts through it.
#include "tokenizer/tokenizer.hpp"

#include "tests/fuzz/targets/input.hpp"

using namespace shardrift;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto path = fuzz::write("tokenizer.json", fuzz::text_of(data, size));
  return fuzz::read_or_refuse([&] {
    const auto tokenizer = Tokenizer::open(path);
    for (const char* text :
         {"", " ", "abba  <s> 12\n\u6f22ab<s>!", "e\u0301Q m\u00b2 x\u08d3\u0301, don't"}) {
      fuzz::read_or_refuse([&] {
        const auto ids = tokenizer.encode(text);
        tokenizer.decode(ids);
      });
    }
    tokenizer.token_text(static_cast<std::int32_t>(tokenizer.size() - 1));
    tokenizer.notes();
  });
}
