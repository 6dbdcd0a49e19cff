// GGUF files byte by byte, for tests: what a writer would not write too.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace shardrift {

template <typename T>
std::string little(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}
inline std::string gguf_string(const std::string& text) {
  return little<std::uint64_t>(text.size()) + text;
}

// Keys and values.
inline std::string gguf_u32(const std::string& key, std::uint32_t value) {
  return gguf_string(key) + little<std::uint32_t>(4) + little(value);
}
inline std::string gguf_f32(const std::string& key, float value) {
  return gguf_string(key) + little<std::uint32_t>(6) + little(value);
}
inline std::string gguf_flag(const std::string& key, bool value) {
  return gguf_string(key) + little<std::uint32_t>(7) + std::string(1, value ? '\1' : '\0');
}
inline std::string gguf_text(const std::string& key, const std::string& value) {
  return gguf_string(key) + little<std::uint32_t>(8) + gguf_string(value);
}
inline std::string gguf_texts(const std::string& key, const std::vector<std::string>& values) {
  std::string bytes = gguf_string(key) + little<std::uint32_t>(9) + little<std::uint32_t>(8) +
                      little<std::uint64_t>(values.size());
  for (const auto& value : values) bytes += gguf_string(value);
  return bytes;
}
inline std::string gguf_floats(const std::string& key, const std::vector<float>& values) {
  std::string bytes = gguf_string(key) + little<std::uint32_t>(9) + little<std::uint32_t>(6) +
                      little<std::uint64_t>(values.size());
  for (const auto value : values) bytes += little(value);
  return bytes;
}
inline std::string gguf_ints(const std::string& key, const std::vector<std::int32_t>& values) {
  std::string bytes = gguf_string(key) + little<std::uint32_t>(9) + little<std::uint32_t>(5) +
                      little<std::uint64_t>(values.size());
  for (const auto value : values) bytes += little(value);
  return bytes;
}

// dims: the row's first.
inline std::string gguf_tensor(const std::string& name, const std::vector<std::uint64_t>& dims,
                               std::uint32_t type, std::uint64_t offset) {
  std::string bytes = gguf_string(name) + little<std::uint32_t>(static_cast<std::uint32_t>(dims.size()));
  for (const auto dim : dims) bytes += little(dim);
  return bytes + little(type) + little(offset);
}

// A file of version 3, aligned to 32 bytes.
inline std::string gguf_bytes(const std::vector<std::string>& pairs,
                              const std::vector<std::string>& tensors = {}, const std::string& data = {}) {
  std::string bytes = "GGUF" + little<std::uint32_t>(3) + little<std::uint64_t>(tensors.size()) +
                      little<std::uint64_t>(pairs.size());
  for (const auto& pair : pairs) bytes += pair;
  for (const auto& tensor : tensors) bytes += tensor;
  bytes.resize((bytes.size() + 31) / 32 * 32, '\0');
  return bytes + data;
}

}  // namespace shardrift
