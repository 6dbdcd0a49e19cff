// The file of llama.cpp's `llama-perplexity --save-all-logits FILE` (`--kl-divergence-base FILE`),
// little-endian:
//
//   "_logits_"                       8 bytes
//   n_ctx, n_vocab, n_chunk          int32 each
//   tokens                           int32 [n_chunk · n_ctx], as the text was cut; at the first place of each
//   chunk a
//                                    model with add_bos was fed its BOS token instead
//   for each chunk, for each of its n_ctx - 1 - n_ctx/2 rows, from position n_ctx/2 on:
//     scale, least                   float32 each
//     codes                          uint16 [n_vocab], and one more where n_vocab is odd
//
// log-probability = scale · code + least (float32): rounded to 65536 steps between the largest and 16 below
// it; what lies lower has code 0. Row r is the logits after token n_ctx/2 + r. Read off llama.cpp of commit
// 050fc7f, tools/perplexity/perplexity.cpp.
#pragma once
#include <filesystem>
#include <optional>

#include "foreign/foreign_run.hpp"

namespace shardrift::foreign {

// By its first bytes; false where it cannot be read.
bool is_llama_cpp_base(const std::filesystem::path& path);

// A prompt "chunk0", "chunk1", … for each chunk. bos: fed at the first place of each. Throws bad_data naming
// file and value: truncated or too long, sizes that are none, tokens outside the vocabulary, a scale that is
// no number.
ForeignRun import_llama_cpp_base(const std::filesystem::path& path, std::optional<std::int32_t> bos);

}  // namespace shardrift::foreign
