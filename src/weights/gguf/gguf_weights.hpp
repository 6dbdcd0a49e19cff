// One of a GGUF model's files, as a file of a checkpoint: under the names of the Hugging Face checkpoint.
#pragma once
#include "weights/checkpoint_file.hpp"
#include "weights/gguf/gguf_model.hpp"

namespace shardrift {

class GgufWeights final : public CheckpointFile {
 public:
  // The model must outlive it.
  GgufWeights(const GgufModel& model, std::size_t file) : model_(model), number_(file) {}
  const std::filesystem::path& path() const override { return file().path(); }
  std::string_view header() const override { return file().header(); }
  std::size_t file_size() const override { return file().file_size(); }
  std::vector<std::string> names() const override;
  std::optional<TensorView> find(const std::string& name) const override;
  std::optional<StoredTensor> stored(const std::string& name) const override;
  const FileStamp& stamp() const override { return file().stamp(); }
  void require_unchanged() const override { file().require_unchanged(); }

 private:
  const GgufFile& file() const { return model_.files()[number_]; }
  const GgufMatrix* matrix(const std::string& name) const;  // null: none of this file

  const GgufModel& model_;
  std::size_t number_;
};

}  // namespace shardrift
