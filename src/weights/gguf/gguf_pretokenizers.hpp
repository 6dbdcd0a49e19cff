// How the pre-tokenizers that GGUF files name cut a text into words.
#pragma once
#include <string>
#include <string_view>

namespace shardrift {

// In tokenizer.json's words; the regular expressions are those of the models' own tokenizer.json.
struct GgufPreTokenizer {
  std::string_view name;       // tokenizer.ggml.pre
  std::string_view split;      // a regular expression; empty: ByteLevel's own (GPT-2's)
  bool digits = false;         // each digit alone, before that
  bool nfc = false;            // the text is normalized first
  bool ignore_merges = false;  // a word that is a token is taken whole
  bool adds_bos = false;       // where the file does not say
};

const GgufPreTokenizer* find_pretokenizer(std::string_view name);  // null: not one of them
std::string pretokenizer_names();

}  // namespace shardrift
