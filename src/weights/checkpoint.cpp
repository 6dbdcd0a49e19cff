#include <set>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "common/json_file.hpp"
#include "weights/gguf/gguf_weights.hpp"
#include "weights/safetensors.hpp"

namespace shardrift {
namespace {

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr std::size_t kMaxIndexBytes = std::size_t{256} << 20;

// An index comes with the checkpoint, so it may not point outside the checkpoint's directory.
void check_shard_name(const std::string& name, const std::string& index) {
  if (name.empty() || name == "." || name.find("..") != std::string::npos ||
      name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos) {
    throw bad_data("{}: weight_map names the file {}; a plain file name in the same directory is expected",
                   index, shown(name));
  }
}

}  // namespace

struct Checkpoint::State {
  std::filesystem::path directory;                               // or file
  std::unique_ptr<const GgufModel> gguf;                         // null: a directory's
  std::map<std::string, std::unique_ptr<CheckpointFile>> files;  // by file name
  std::map<std::string, const CheckpointFile*> tensors;          // which file holds a tensor

  const CheckpointFile& add(const std::string& name, std::unique_ptr<CheckpointFile> file) {
    return *files.emplace(name, std::move(file)).first->second;
  }
  const CheckpointFile& add_safetensors(const std::string& name) {
    return add(name, std::make_unique<SafetensorsFile>(SafetensorsFile::open(directory / name)));
  }
  void take_all_tensors_of(const CheckpointFile& file) {
    for (auto& name : file.names()) tensors.emplace(std::move(name), &file);
  }
};

Checkpoint Checkpoint::open(const std::filesystem::path& directory) {
  auto state = std::make_unique<State>();
  state->directory = directory;
  if (std::error_code error; std::filesystem::is_regular_file(directory, error)) {
    state->gguf = std::make_unique<const GgufModel>(GgufModel::open(directory));
    for (std::size_t f = 0; f < state->gguf->files().size(); ++f) {
      auto file = std::make_unique<GgufWeights>(*state->gguf, f);
      const auto name = file->path().filename().string();
      state->take_all_tensors_of(state->add(name, std::move(file)));
    }
    return Checkpoint(std::move(state));
  }
  std::error_code error;
  if (std::filesystem::exists(directory / kSingle, error)) {
    state->take_all_tensors_of(state->add_safetensors(kSingle));
    return Checkpoint(std::move(state));
  }
  if (!std::filesystem::exists(directory / kIndex, error)) {
    throw bad_data(
        "{}: neither {} nor {} is there (other formats, such as pytorch_model.bin, must be converted)",
        directory.string(), kSingle, kIndex);
  }
  const auto index = (directory / kIndex).string();
  const auto json = parse_json_object(read_text_file(directory / kIndex, kMaxIndexBytes), index);
  const auto* weight_map = member(json, "weight_map");
  if (weight_map == nullptr || !weight_map->is_object()) {
    throw bad_data("{}: weight_map is {}, an object of tensor name to file name is expected", index,
                   weight_map == nullptr ? "missing" : shown(*weight_map));
  }
  for (const auto& [tensor, value] : weight_map->items()) {
    if (!value.is_string()) {
      throw bad_data("{}: weight_map gives {} for tensor {}, a file name is expected", index, shown(value),
                     shown(tensor));
    }
    const auto name = value.get<std::string>();
    const auto found = state->files.find(name);
    const CheckpointFile* file = found == state->files.end() ? nullptr : found->second.get();
    if (file == nullptr) {
      check_shard_name(name, index);
      if (!std::filesystem::exists(directory / name, error)) {
        throw bad_data("{}: weight_map names {}, which is not in {} (incomplete download?)", index,
                       shown(name), directory.string());
      }
      file = &state->add_safetensors(name);
    }
    state->tensors.emplace(tensor, file);
  }
  for (const auto& [name, file] : state->files) {
    const auto held = file->names();  // sorted
    const std::set<std::string_view> present(held.begin(), held.end());
    for (const auto& [tensor, holder] : state->tensors) {
      if (holder == file.get() && present.count(tensor) == 0) {
        throw bad_data("{}: weight_map puts tensor {} into {}, but that file does not hold it", index,
                       shown(tensor), shown(name));
      }
    }
  }
  return Checkpoint(std::move(state));
}

Checkpoint::Checkpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

TensorView Checkpoint::tensor(const std::string& name, const std::vector<std::int64_t>& shape) const {
  const auto found = state_->tensors.find(name);
  if (found == state_->tensors.end()) {
    throw bad_data("{}: {} has no tensor {} (it holds {} tensors; {})", state_->directory.string(),
                   gguf() == nullptr ? "the checkpoint" : "the file", shown(shown_name(name)),
                   state_->tensors.size(),
                   gguf() == nullptr ? "does config.json belong to it?" : "its metadata ask for more");
  }
  auto view = found->second->find(name);
  if (!view) {
    throw failure("{}: tensor {} was there when the file was opened", found->second->path().string(),
                  shown(name));
  }
  if (view->shape != shape) {
    throw bad_data("{}: tensor {} has shape {}, {} asks for {}", found->second->path().string(),
                   shown(shown_name(name)), shown(view->shape), described_by(), shown(shape));
  }
  return *view;
}

std::optional<StoredTensor> Checkpoint::raw(const std::string& name) const {
  const auto found = state_->tensors.find(name);
  return found == state_->tensors.end() ? std::nullopt : found->second->stored(name);
}

std::filesystem::path Checkpoint::file_of(const std::string& tensor) const {
  const auto found = state_->tensors.find(tensor);
  return found == state_->tensors.end() ? std::filesystem::path() : found->second->path();
}

std::string Checkpoint::shown_name(const std::string& tensor) const {
  if (gguf() == nullptr) return tensor;
  const auto found = gguf()->matrices().find(tensor);
  return found == gguf()->matrices().end() ? gguf_name(gguf()->architecture(), tensor) : found->second.tensor;
}

std::string_view Checkpoint::described_by() const {
  return gguf() == nullptr ? "config.json" : "the file's metadata";
}

bool Checkpoint::contains(const std::string& name) const {
  return state_->tensors.count(name) != 0;
}

const std::filesystem::path& Checkpoint::directory() const {
  return state_->directory;
}

const GgufModel* Checkpoint::gguf() const {
  return state_->gguf.get();
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : state_->tensors) names.push_back(name);
  return names;
}

std::vector<StoredTensor> Checkpoint::stored() const {
  std::map<const CheckpointFile*, std::size_t> number;
  for (const auto& [name, file] : state_->files) number.emplace(file.get(), number.size());
  std::vector<StoredTensor> tensors;
  for (const auto& [name, file] : state_->tensors) {
    auto tensor = file->stored(name);
    if (!tensor) throw failure("tensor {} was there when the files were opened", shown(name));
    tensor->file = number.at(file);
    tensors.push_back(std::move(*tensor));
  }
  return tensors;
}

std::vector<FileStamp> Checkpoint::stamps() const {
  std::vector<FileStamp> stamps;
  for (const auto& [name, file] : state_->files) stamps.push_back(file->stamp());
  return stamps;
}

void Checkpoint::require_unchanged() const {
  for (const auto& [name, file] : state_->files) file->require_unchanged();
}

std::string Checkpoint::identity(std::string_view config_text) const {
  Sha256 hash;
  // Each text is preceded by its length, so that no two checkpoints feed the same bytes.
  const auto feed = [&](std::string_view text) {
    hash.update(fmt::format("{}:", text.size()));
    hash.update(text);
  };
  feed(config_text);
  for (const auto& [name, file] : state_->files) {
    feed(name);
    feed(file->header());
    feed(fmt::format("{}", file->file_size()));
  }
  return hash.hex();
}

}  // namespace shardrift
