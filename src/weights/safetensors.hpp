// safetensors files, mapped and checked. Format: https://github.com/huggingface/safetensors (8-byte
// little-endian header length, JSON header, tensor bytes). Nothing in the header is believed before it is
// checked. Sizes are checked against the file as it is when opened: a checkpoint truncated while it is mapped
// ends the program with SIGBUS, so it must not change during a run.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weights/checkpoint_file.hpp"

namespace shardrift {

class GgufModel;

class SafetensorsFile final : public CheckpointFile {
 public:
  // Throws bad_data: not found, truncated, header too long or no JSON, offsets out of bounds, overlapping or
  // leaving holes, shape x dtype differing from the offsets, integer overflow, duplicate names.
  static SafetensorsFile open(const std::filesystem::path& path);
  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;
  ~SafetensorsFile() override;
  const std::filesystem::path& path() const override;
  std::string_view header() const override;  // the JSON text
  std::size_t file_size() const override;
  std::vector<std::string> names() const override;
  std::optional<TensorView> find(const std::string& name) const override;
  std::optional<StoredTensor> stored(const std::string& name) const override;
  const FileStamp& stamp() const override;
  void require_unchanged() const override;

 private:
  struct State;
  explicit SafetensorsFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// All weights of a model: of a Hugging Face directory those of model.safetensors, or of the files of
// model.safetensors.index.json; or a GGUF file's, under the names of the Hugging Face checkpoint it was made
// of.
class Checkpoint {
 public:
  static Checkpoint open(const std::filesystem::path& model);
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();
  // Throws bad_data naming the tensor if it is missing or has another shape.
  TensorView tensor(const std::string& name, const std::vector<std::int64_t>& shape) const;
  // As it lies in its file, of any dtype and shape; nullopt: there is none.
  std::optional<StoredTensor> raw(const std::string& name) const;
  std::filesystem::path file_of(const std::string& tensor) const;  // for messages; empty: there is none
  // What the user knows a tensor by, and what says which there are: in a GGUF file its own name, and
  // metadata.
  std::string shown_name(const std::string& tensor) const;
  std::string_view described_by() const;  // "config.json"
  bool contains(const std::string& name) const;
  std::vector<std::string> names() const;          // sorted
  const std::filesystem::path& directory() const;  // or the GGUF file
  const GgufModel* gguf() const;                   // null: a directory's
  // Every tensor, by name, whether a model uses it or not.
  std::vector<StoredTensor> stored() const;
  std::vector<FileStamp> stamps() const;  // of the files, in name order, when they were opened
  void require_unchanged() const;         // throws failure naming a file that was written to since
  // SHA-256 over config.json's text and every file's name, header and size, in name order. Says nothing of
  // the weights themselves: weight_hash.hpp.
  std::string identity(std::string_view config_text) const;

 private:
  struct State;
  explicit Checkpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Copies rows [row0, row0+rows) x columns [col0, col0+cols) of a 2-D (or 1-D: rows = 1) tensor to dense
// row-major `out`, in the tensor's own dtype. Reads only those bytes. `out` holds rows·cols·size_of(dtype)
// bytes. Zero rows or columns copy nothing. A block outside the tensor, or a tensor of other than 1 or 2
// dimensions, throws failure.
void copy_block(const TensorView& tensor, std::int64_t row0, std::int64_t rows, std::int64_t col0,
                std::int64_t cols, std::byte* out);

}  // namespace shardrift
