// A model in one GGUF file, or in several that gguf-split made of it: its weights under the names of the
// Hugging Face checkpoint it was converted from, each with what the conversion did to it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/dtype.hpp"
#include "weights/gguf/gguf_file.hpp"
#include "weights/gguf/gguf_names.hpp"

namespace shardrift {

struct GgufMatrix {
  std::size_t file = 0;  // of GgufModel::files()
  std::string tensor;    // GGUF's name
  const GgufType* type = nullptr;
  std::vector<std::int64_t> shape;  // of an expert's matrix, where the tensor has many
  const std::byte* data = nullptr;
  std::uint64_t bytes = 0;
  std::int64_t interleaved_heads = 0;  // over which its rows are interleaved; 0: they are not
  bool plus_one = false;
  bool stacked = false;  // of all experts: [experts · rows, cols]
};

// Rows of two in turn.
struct GgufPair {
  const GgufMatrix* even = nullptr;
  const GgufMatrix* odd = nullptr;
  std::vector<std::string> names;  // of both, ours
};

class GgufModel {
 public:
  // Throws bad_data: GgufFile's, an architecture that is not known (naming those that are), parts that are
  // missing or belong to another model.
  static GgufModel open(const std::filesystem::path& path);
  const std::filesystem::path& path() const { return files_.front().path(); }
  const GgufArchitecture& architecture() const { return *architecture_; }
  const GgufMetadata& metadata() const { return files_.front().metadata(); }
  const std::vector<GgufFile>& files() const { return files_; }
  // By our names; tensors that the architecture does not have keep GGUF's.
  const std::map<std::string, GgufMatrix>& matrices() const { return matrices_; }
  // By our names, of no tensor's own.
  const std::map<std::string, GgufPair>& pairs() const { return pairs_; }
  // A one-dimensional tensor of floating-point numbers by GGUF's name; empty: there is none.
  std::vector<float> vector(const std::string& gguf) const;

 private:
  GgufModel() = default;
  void name_tensors();
  void add(std::string name, GgufMatrix matrix);
  void pair_gates_and_ups();

  std::vector<GgufFile> files_;
  const GgufArchitecture* architecture_ = nullptr;
  std::map<std::string, GgufMatrix> matrices_;
  std::map<std::string, GgufPair> pairs_;
};

// Nothing was done to the stored numbers, and they are of a type that is computed with.
bool is_plain(const GgufMatrix& matrix);
// Of its numbers as the checkpoint had them: the stored ones' where they are not quantized, else float32.
DType decoded_dtype(const GgufMatrix& matrix);
// Elements [begin, end) of the matrix as the checkpoint had it, row-major, in that dtype; of a matrix whole
// rows. Throws bad_data naming file, tensor and row where a scale is NaN or infinite.
void decode_elements(const GgufModel& model, const GgufMatrix& matrix, std::int64_t begin, std::int64_t end,
                     std::byte* out);

}  // namespace shardrift
