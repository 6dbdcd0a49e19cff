// GGUF files (versions 2 and 3, little-endian), mapped and checked: header, keys and values, descriptions of
// tensors, tensor bytes. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Nothing in the
// file is believed before it is checked, and nothing is allocated by a count that the file's own size does
// not bear out.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weights/gguf/gguf_metadata.hpp"
#include "weights/gguf/gguf_types.hpp"
#include "weights/mapped_file.hpp"

namespace shardrift {

struct GgufTensor {
  const GgufType* type = nullptr;
  std::vector<std::int64_t> shape;  // rows first, as everywhere but in GGUF; rows are whole blocks
  const std::byte* data = nullptr;
  std::uint64_t bytes = 0;
};

class GgufFile {
 public:
  // Throws bad_data naming file, key or tensor and value: not found, truncated, no GGUF, of another version
  // or byte order; lengths, counts, dimensions and offsets that the file does not hold; types that are not
  // known; names twice; tensors that overlap or leave holes.
  static GgufFile open(const std::filesystem::path& path);
  GgufFile(GgufFile&&) noexcept;
  GgufFile& operator=(GgufFile&&) noexcept;
  ~GgufFile();
  const std::filesystem::path& path() const;
  const GgufMetadata& metadata() const;
  const std::map<std::string, GgufTensor>& tensors() const;  // by GGUF's own names
  std::string_view header() const;                           // all bytes before those of tensors
  std::size_t file_size() const;
  const FileStamp& stamp() const;
  void require_unchanged() const;  // MappedFile's

 private:
  struct State;
  explicit GgufFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// A regular file that begins as GGUF files do, in either byte order. (A directory is none.)
bool is_gguf(const std::filesystem::path& path);

}  // namespace shardrift
