#include "weights/gguf/gguf_model.hpp"

#include <algorithm>
#include <cstring>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "weights/gguf/gguf_blocks.hpp"

namespace shardrift {
namespace {

// "model-00001-of-00003.gguf" -> the third: "model-00003-of-00003.gguf".
std::filesystem::path sibling(const std::filesystem::path& first, std::int64_t number, std::int64_t count) {
  const auto name = first.filename().string();
  const auto ending = fmt::format("-00001-of-{:05}.gguf", count);
  if (!name.ends_with(ending))
    throw bad_data(
        "{}: is the first of {} files, but its name does not end with {} (gguf-split --merge makes one "
        "file of them)",
        first.string(), count, ending);
  return first.parent_path() /
         fmt::format("{}-{:05}-of-{:05}.gguf", name.substr(0, name.size() - ending.size()), number, count);
}

constexpr const char* kSplitCount = "split.count";
constexpr const char* kSplitNumber = "split.no";
constexpr std::int64_t kMostFiles = 10000;

std::int64_t split_count(const GgufFile& file) {
  const auto count = file.metadata().integer(kSplitCount).value_or(1);
  if (count < 0 || count > kMostFiles)
    throw bad_data("{}: {} is {}, 1 to {} are expected", file.path().string(), kSplitCount, count,
                   kMostFiles);
  return count;
}

std::vector<GgufFile> open_files(const std::filesystem::path& path) {
  std::vector<GgufFile> files;
  files.push_back(GgufFile::open(path));
  const auto count = split_count(files.front());
  if (count <= 1) return files;
  if (const auto number = files.front().metadata().integer(kSplitNumber).value_or(0); number != 0)
    throw bad_data("{}: is file {} of {}: give the first one", path.string(), number + 1, count);
  for (std::int64_t number = 2; number <= count; ++number) {
    const auto next = sibling(path, number, count);
    std::error_code error;
    if (!std::filesystem::exists(next, error))
      throw bad_data("{}: {} of {} files is missing: {} (incomplete download?)", path.string(), number, count,
                     next.string());
    files.push_back(GgufFile::open(next));
    const auto& metadata = files.back().metadata();
    if (split_count(files.back()) != count || metadata.integer(kSplitNumber).value_or(0) != number - 1)
      throw bad_data("{}: says it is file {} of {}, its name {} of {}", next.string(),
                     metadata.integer(kSplitNumber).value_or(0) + 1, split_count(files.back()), number,
                     count);
  }
  const auto wanted = files.front().metadata().integer("split.tensors.count");
  std::size_t held = 0;
  for (const auto& file : files) held += file.tensors().size();
  if (wanted && *wanted != static_cast<std::int64_t>(held))
    throw bad_data("{}: split.tensors.count is {}, but the {} files hold {} tensors", path.string(), *wanted,
                   count, held);
  return files;
}

const GgufArchitecture& architecture_in(const GgufMetadata& metadata) {
  constexpr const char* kKey = "general.architecture";
  const auto name = metadata.text(kKey);
  if (!name) throw bad_data("{}: key {} is missing: no language model", metadata.file(), kKey);
  const bool experts = metadata.integer(*name + ".expert_count").value_or(0) > 0;
  const auto* architecture = find_gguf_architecture(*name, experts);
  if (architecture == nullptr)
    throw bad_data("{}: {} is {}; this version reads {}", metadata.file(), kKey, shown(*name),
                   gguf_architecture_names());
  return *architecture;
}

// Over which the rows are interleaved: query heads, key heads.
std::int64_t heads(const GgufMetadata& metadata, const GgufArchitecture& architecture, bool keys) {
  const auto name = std::string(architecture.name) + ".attention.head_count";
  const auto queries = metadata.integer_of_layers(name);
  if (!queries) throw bad_data("{}: key {} is missing", metadata.file(), name);
  return keys ? metadata.integer_of_layers(name + "_kv").value_or(*queries) : *queries;
}

}  // namespace

GgufModel GgufModel::open(const std::filesystem::path& path) {
  GgufModel model;
  model.files_ = open_files(path);
  model.architecture_ = &architecture_in(model.metadata());
  model.name_tensors();
  if (model.architecture_->gates_beside_ups) model.pair_gates_and_ups();
  return model;
}

void GgufModel::pair_gates_and_ups() {
  for (const auto& [name, matrix] : matrices_) {
    constexpr std::string_view kGate = ".experts.gate_proj", kUp = ".experts.up_proj",
                               kBoth = ".experts.gate_up_proj";
    const auto at = name.find(kGate);
    if (at == std::string::npos) continue;
    const auto other = std::string(name).replace(at, kGate.size(), kUp);
    const auto up = matrices_.find(other);
    if (up == matrices_.end() || up->second.shape != matrix.shape)
      throw bad_data("{}: tensor {} has shape {}, but that of the ups beside it is {}", path().string(),
                     shown(matrix.tensor), shown(matrix.shape),
                     up == matrices_.end() ? "missing" : "of shape " + shown(up->second.shape));
    pairs_.emplace(std::string(name).replace(at, kGate.size(), kBoth),
                   GgufPair{&matrix, &up->second, {name, other}});
  }
}

void GgufModel::add(std::string name, GgufMatrix matrix) {
  const auto file = files_[matrix.file].path().string();
  const auto tensor = matrix.tensor;
  if (!matrices_.emplace(std::move(name), std::move(matrix)).second)
    throw bad_data("{}: tensor {} is in another of the model's files too", file, shown(tensor));
}

void GgufModel::name_tensors() {
  for (std::size_t f = 0; f < files_.size(); ++f) {
    for (const auto& [name, tensor] : files_[f].tensors()) {
      if (is_rope_tensor(name)) continue;
      GgufMatrix matrix{f, name, tensor.type, tensor.shape, tensor.data, tensor.bytes};
      const auto ours = our_name(*architecture_, name);
      if (ours.empty()) {
        add(name, std::move(matrix));
        continue;
      }
      const auto where = [&, &name = name] {
        return fmt::format("{}: tensor {}", files_[f].path().string(), shown(name));
      };
      matrix.plus_one = architecture_->norms_plus_one && is_norm(name);
      if (architecture_->interleaved && (is_query(name) || is_key(name))) {
        const auto count = heads(metadata(), *architecture_, is_key(name));
        const auto rows = matrix.shape.empty() ? 1 : matrix.shape.front();
        if (count <= 0 || rows % count != 0 || rows / count % 2 != 0)
          throw bad_data("{}: {} rows are not those of {} heads of an even size", where(), rows, count);
        if (matrix.shape.size() < 2 && !is_float(*matrix.type))
          throw bad_data("{}: a vector of type {}, whose elements change places: F32 is expected", where(),
                         matrix.type->name);
        matrix.interleaved_heads = count;
      }
      const auto expert = ours.find("{}");
      if (expert == std::string::npos) {
        if (matrix.shape.size() == 3) {
          matrix.stacked = true;
          matrix.shape = {matrix.shape[0] * matrix.shape[1], matrix.shape[2]};
        }
        add(ours, std::move(matrix));
        continue;
      }
      if (matrix.shape.size() < 2)
        throw bad_data("{}: shape {}, one of experts' matrices is expected", where(), shown(matrix.shape));
      const auto experts = matrix.shape.front();
      matrix.shape.erase(matrix.shape.begin());
      matrix.bytes /= static_cast<std::uint64_t>(experts);
      for (std::int64_t e = 0; e < experts; ++e, matrix.data += matrix.bytes)
        add(std::string(ours).replace(expert, 2, std::to_string(e)), matrix);
    }
  }
}

std::vector<float> GgufModel::vector(const std::string& gguf) const {
  for (const auto& file : files_) {
    const auto found = file.tensors().find(gguf);
    if (found == file.tensors().end()) continue;
    const auto& tensor = found->second;
    if (tensor.shape.size() != 1 || tensor.type->name != "F32")
      throw bad_data("{}: tensor {}: {} of shape {}, a list of F32 is expected", file.path().string(),
                     shown(gguf), tensor.type->name, shown(tensor.shape));
    std::vector<float> values(static_cast<std::size_t>(tensor.shape.front()));
    std::memcpy(values.data(), tensor.data, tensor.bytes);
    return values;
  }
  return {};
}

bool is_plain(const GgufMatrix& matrix) {
  return is_float(*matrix.type) && matrix.interleaved_heads == 0 && !matrix.plus_one && !matrix.stacked;
}

DType decoded_dtype(const GgufMatrix& matrix) {
  if (matrix.plus_one) return DType::float32;
  return matrix.type->name == "F16"    ? DType::float16
         : matrix.type->name == "BF16" ? DType::bfloat16
         : matrix.type->name == "F64"  ? DType::float64
                                       : DType::float32;
}

void decode_elements(const GgufModel& model, const GgufMatrix& matrix, std::int64_t begin, std::int64_t end,
                     std::byte* out) {
  const bool vector = matrix.shape.size() <= 1;
  const std::int64_t size = vector ? (matrix.shape.empty() ? 1 : matrix.shape.front()) : 0;
  // A vector is one row; where its elements change places, a column.
  const bool column = vector && matrix.interleaved_heads != 0;
  const std::int64_t rows = vector ? (column ? size : 1) : matrix.shape.front();
  const std::int64_t cols = vector ? (column ? 1 : size) : matrix.shape.back();
  const bool copied = is_float(*matrix.type) && !matrix.plus_one;
  const std::size_t element = size_of(decoded_dtype(matrix));
  const std::size_t stored_row = matrix.bytes / static_cast<std::uint64_t>(rows);
  const std::int64_t head = matrix.interleaved_heads == 0 ? 1 : rows / matrix.interleaved_heads;
  std::vector<float> numbers(copied ? 0 : static_cast<std::size_t>(cols));
  while (begin < end) {
    const std::int64_t row = begin / cols, first = begin % cols, last = std::min(cols, first + end - begin);
    std::int64_t from = row;
    if (matrix.interleaved_heads != 0) {
      const std::int64_t in_head = row % head, half = head / 2;
      from = row - in_head + in_head % half * 2 + in_head / half;
    }
    const std::byte* in = matrix.data + static_cast<std::size_t>(from) * stored_row;
    const std::size_t bytes = static_cast<std::size_t>(last - first) * element;
    if (!copied) {
      if (const auto block = decode_blocks(*matrix.type, in, numbers.size(), numbers.data()))
        throw bad_data("{}: tensor {}: row {}: block {} of {} has a scale that is NaN or infinite",
                       model.files()[matrix.file].path().string(), shown(matrix.tensor), from, *block,
                       matrix.type->name);
      if (matrix.plus_one)
        for (auto& number : numbers) number -= 1.0F;
      in = reinterpret_cast<const std::byte*>(numbers.data());
    }
    std::memcpy(out, in + static_cast<std::size_t>(first) * element, bytes);
    out += bytes;
    begin += last - first;
  }
}

}  // namespace shardrift
