#include "common/hash.hpp"

#include <openssl/evp.h>

#include <array>

#include "common/error.hpp"

namespace shardrift {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(context); }
};

namespace {
void require(int ok) {
  if (ok != 1) throw failure("OpenSSL's SHA-256 failed: is its default provider disabled?");
}
}  // namespace

Sha256::Sha256() : state_(std::make_unique<State>()) {
  require(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr));
}
Sha256::~Sha256() = default;

void Sha256::update(const void* data, std::size_t bytes) {
  require(EVP_DigestUpdate(state_->context, data, bytes));
}

std::string Sha256::hex() const {
  const State copy;  // finalising ends a context; the running one stays usable
  require(EVP_MD_CTX_copy_ex(copy.context, state_->context));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  require(EVP_DigestFinal_ex(copy.context, digest.data(), &length));
  std::string text;
  for (unsigned int i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::string sha256_hex(std::string_view text) {
  return sha256_hex(std::as_bytes(std::span(text)));
}

std::string sha256_hex(std::span<const std::byte> words) {
  Sha256 hash;
  hash.update(words.data(), words.size());
  return hash.hex();
}

}  // namespace shardrift
