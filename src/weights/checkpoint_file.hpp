// A file of a checkpoint, of any format: its tensors by name, and what tells it from others.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/dtype.hpp"
#include "weights/mapped_file.hpp"

namespace shardrift {

struct TensorView {  // valid while its file lives
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

class CheckpointFile {
 public:
  CheckpointFile() = default;
  virtual ~CheckpointFile() = default;
  virtual const std::filesystem::path& path() const = 0;
  virtual std::string_view header() const = 0;  // all bytes that say what the rest is
  virtual std::size_t file_size() const = 0;
  virtual std::vector<std::string> names() const = 0;  // sorted
  // nullopt if absent; throws bad_data if its dtype is none that is computed with.
  virtual std::optional<TensorView> find(const std::string& name) const = 0;
  virtual std::optional<StoredTensor> stored(const std::string& name) const = 0;
  virtual const FileStamp& stamp() const = 0;
  virtual void require_unchanged() const = 0;  // MappedFile's

 protected:
  CheckpointFile(CheckpointFile&&) noexcept = default;
  CheckpointFile& operator=(CheckpointFile&&) noexcept = default;
};

}  // namespace shardrift
