// Other engines' files, as shardrift import takes them: .npy, llama.cpp's, a server's answers; by what they hold.
#include "foreign/llama_cpp_base.hpp"
#include "foreign/logits_import.hpp"
#include "foreign/npy_file.hpp"
#include "foreign/server_lines.hpp"
#include "tests/fuzz/targets/input.hpp"

using namespace shardrift;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto tokens = fuzz::write("tokens.json", "[1, 2]");
  const auto path = fuzz::write("answers", fuzz::text_of(data, size));
  return fuzz::read_or_refuse([&] {
    foreign::ForeignRun run;
    if (foreign::is_npy(path)) {
      fuzz::read_or_refuse([&] { foreign::as_tokens(foreign::read_npy(path)); });
      run = foreign::import_logits({path}, {.prompt = tokens});
    } else if (foreign::is_llama_cpp_base(path)) {
      run = foreign::import_llama_cpp_base(path, 1);
    } else {
      run = foreign::import_server_lines({.answers = path, .vocabulary = 50});
    }
    foreign::choose_all(run);
    foreign::mode_of(run);
  });
}
