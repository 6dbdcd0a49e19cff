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

#include "common/dtype.hpp"
#include "weights/mapped_file.hpp"

namespace shardrift {

struct TensorView {  // valid while its SafetensorsFile lives
  std::string name;
  DType dtype = DType::float32;  // F64, F32, F16, BF16; other dtypes are refused when asked for
  std::vector<std::int64_t> shape;
  const std::byte* data = nullptr;  // row-major, may be unaligned
  std::size_t bytes = 0;
  // Where this is a matrix out of the tensor, [out, in] (weight_source.hpp): its row's row in the whole.
  std::int64_t first_row = 0;             // of the first, where they follow one another;
  std::vector<std::int64_t> stored_rows;  // else of each
  std::int64_t expert_rows = 0;           // rows of each expert, where the tensor has all experts' rows
  bool transposed = false;                // the tensor is [in, out]
  bool vector = false;                    // its rows or columns are one dimension of the tensor

  // "[3, 5]": where this view's element is in the whole tensor.
  std::string stored_at(std::int64_t row, std::int64_t col) const;
};

// A tensor of any dtype, as it lies in its file.
struct StoredTensor {
  std::string name;
  std::string dtype;  // as the file spells it
  std::vector<std::int64_t> shape;
  const std::byte* data = nullptr;
  std::uint64_t bytes = 0;
  std::size_t file = 0;  // of Checkpoint::stamps()
};

class SafetensorsFile {
 public:
  // Throws bad_data: not found, truncated, header too long or no JSON, offsets out of bounds, overlapping or
  // leaving holes, shape x dtype differing from the offsets, integer overflow, duplicate names.
  static SafetensorsFile open(const std::filesystem::path& path);
  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;
  ~SafetensorsFile();
  const std::filesystem::path& path() const;
  std::string_view header() const;  // the JSON text
  std::size_t file_size() const;
  std::vector<std::string> names() const;
  // nullopt if absent; throws bad_data if its dtype is not one of the four.
  std::optional<TensorView> find(const std::string& name) const;
  std::optional<StoredTensor> stored(const std::string& name) const;
  const FileStamp& stamp() const;
  void require_unchanged() const;  // MappedFile's

 private:
  struct State;
  explicit SafetensorsFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// All weights of a Hugging Face directory: model.safetensors, or the files of model.safetensors.index.json.
class Checkpoint {
 public:
  static Checkpoint open(const std::filesystem::path& directory);
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();
  // Throws bad_data naming the tensor if it is missing or has another shape.
  TensorView tensor(const std::string& name, const std::vector<std::int64_t>& shape) const;
  // As it lies in its file, of any dtype and shape; nullopt: there is none.
  std::optional<StoredTensor> raw(const std::string& name) const;
  std::filesystem::path file_of(const std::string& tensor) const;  // for messages; empty: there is none
  bool contains(const std::string& name) const;
  std::vector<std::string> names() const;  // sorted
  const std::filesystem::path& directory() const;
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
