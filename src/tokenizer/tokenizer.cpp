#include "tokenizer/tokenizer.hpp"

#include "common/error.hpp"
#include "common/utf8.hpp"
#include "tokenizer/tokenizer_kind.hpp"
#include "weights/gguf/gguf_file.hpp"
#include "weights/gguf/gguf_tokenizer.hpp"

namespace shardrift {

Tokenizer Tokenizer::open(const std::filesystem::path& file) {
  if (is_gguf(file))
    return Tokenizer(
        open_tokenizer_text(gguf_tokenizer_text(GgufFile::open(file).metadata()), file.string()));
  return Tokenizer(file.extension() == ".model" ? open_sentencepiece(file) : open_tokenizer_json(file));
}

Tokenizer::Tokenizer(std::unique_ptr<const TokenizerKind> kind) : kind_(std::move(kind)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  if (const auto valid = utf8_valid_prefix(text); valid != text.size()) {
    throw bad_data("the text is not UTF-8: byte 0x{:02X} at offset {}",
                   static_cast<unsigned char>(text[valid]), valid);
  }
  return kind_->encode(text, add_special_tokens);
}

std::string Tokenizer::decode(const std::vector<std::int32_t>& ids) const {
  return kind_->decode(ids);
}

std::string Tokenizer::token_text(std::int32_t id) const {
  return kind_->token_text(id);
}

std::int64_t Tokenizer::size() const {
  return kind_->size();
}

const std::vector<std::string>& Tokenizer::notes() const {
  return kind_->notes();
}

}  // namespace shardrift
