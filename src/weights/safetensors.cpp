#include "weights/safetensors.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "common/error.hpp"
#include "common/json_file.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit

// Every element type the format knows, so that shape and offsets of tensors we never ask for are checked too.
struct ElementType {
  std::string_view name;
  std::uint64_t bits;
  std::optional<DType> dtype;
};
constexpr std::array<ElementType, 21> kElementTypes = {{
    {"F64", 64, DType::float64},
    {"F32", 32, DType::float32},
    {"F16", 16, DType::float16},
    {"BF16", 16, DType::bfloat16},
    {"BOOL", 8, {}},
    {"U8", 8, {}},
    {"I8", 8, {}},
    {"U16", 16, {}},
    {"I16", 16, {}},
    {"U32", 32, {}},
    {"I32", 32, {}},
    {"U64", 64, {}},
    {"I64", 64, {}},
    {"F8_E4M3", 8, {}},
    {"F8_E5M2", 8, {}},
    {"F8_E8M0", 8, {}},
    {"F8_E4M3FNUZ", 8, {}},
    {"F8_E5M2FNUZ", 8, {}},
    {"F6_E2M3", 6, {}},
    {"F6_E3M2", 6, {}},
    {"F4", 4, {}},
}};

const ElementType* element_type(std::string_view name) {
  const auto* found = std::find_if(kElementTypes.begin(), kElementTypes.end(),
                                   [&](const ElementType& type) { return type.name == name; });
  return found == kElementTypes.end() ? nullptr : found;
}

struct Entry {
  std::string dtype;  // as the header spells it
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;  // bytes from the end of the header
  std::uint64_t end = 0;
};

std::vector<std::int64_t> read_shape(const nlohmann::json& value, const std::string& where) {
  if (!value.is_array()) {
    throw bad_data("{}: shape is no array: {}", where, shown(value));
  }
  std::vector<std::int64_t> shape;
  for (const auto& dim : value) {
    // nlohmann reads integers beyond 64 bits as floats, so they fail the first test.
    if (!dim.is_number_unsigned() ||
        dim.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      throw bad_data("{}: shape has {}, not an integer from 0 to 2^63-1", where, shown(dim));
    }
    shape.push_back(dim.get<std::int64_t>());
  }
  return shape;
}

void check_size(const Entry& entry, const std::string& where) {
  const auto* type = element_type(entry.dtype);
  if (type == nullptr) {
    return;  // an element type newer than this program: its size is unknown, and find() refuses it
  }
  std::uint64_t bits = type->bits;
  // A zero dimension first: [0, 2^62, 2^62] is an empty tensor, not an overflow.
  const bool empty = std::find(entry.shape.begin(), entry.shape.end(), 0) != entry.shape.end();
  for (const auto dim : entry.shape) {
    if (!empty && __builtin_mul_overflow(bits, static_cast<std::uint64_t>(dim), &bits)) {
      throw bad_data("{}: shape {} of {} is larger than any file", where, shown(entry.shape), entry.dtype);
    }
  }
  bits = empty ? 0 : bits;
  if (bits % 8 != 0 || bits / 8 != entry.end - entry.begin) {
    throw bad_data("{}: shape {} of {} takes {} bytes, but data_offsets [{}, {}] hold {}", where,
                   shown(entry.shape), entry.dtype, (bits + 7) / 8, entry.begin, entry.end,
                   entry.end - entry.begin);
  }
}

Entry read_entry(const nlohmann::json& value, const std::string& where, std::uint64_t data_bytes) {
  if (!value.is_object()) {
    throw bad_data("{}: described by {}, not by an object", where, shown(value));
  }
  const auto* dtype = member(value, "dtype");
  const auto* shape = member(value, "shape");
  const auto* offsets = member(value, "data_offsets");
  if (dtype == nullptr || shape == nullptr || offsets == nullptr) {
    throw bad_data("{}: {} is missing from {}", where,
                   dtype == nullptr   ? "dtype"
                   : shape == nullptr ? "shape"
                                      : "data_offsets",
                   shown(value));
  }
  if (!dtype->is_string()) {
    throw bad_data("{}: dtype is no string: {}", where, shown(*dtype));
  }
  Entry entry;
  entry.dtype = dtype->get<std::string>();
  entry.shape = read_shape(*shape, where);
  if (!offsets->is_array() || offsets->size() != 2 || !(*offsets)[0].is_number_unsigned() ||
      !(*offsets)[1].is_number_unsigned()) {
    throw bad_data("{}: data_offsets are {}, not two non-negative integers", where, shown(*offsets));
  }
  entry.begin = (*offsets)[0].get<std::uint64_t>();
  entry.end = (*offsets)[1].get<std::uint64_t>();
  if (entry.begin > entry.end) {
    throw bad_data("{}: data_offsets [{}, {}] end before they begin", where, entry.begin, entry.end);
  }
  if (entry.end > data_bytes) {
    throw bad_data(
        "{}: data_offsets [{}, {}] go beyond the {} bytes of data in the file (truncated download?)", where,
        entry.begin, entry.end, data_bytes);
  }
  check_size(entry, where);
  return entry;
}

// The tensors must tile the data: in order of offsets each begins where the one before ended.
void check_tiling(const std::map<std::string, Entry>& entries, std::uint64_t data_bytes,
                  const std::string& file) {
  std::vector<std::pair<const std::string*, const Entry*>> order;
  order.reserve(entries.size());
  for (const auto& [name, entry] : entries) {
    order.emplace_back(&name, &entry);
  }
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second->begin, a.second->end) < std::pair(b.second->begin, b.second->end);
  });
  std::uint64_t end = 0;
  const std::string* previous = nullptr;
  for (const auto& [name, entry] : order) {
    if (entry->begin < end) {
      throw bad_data("{}: tensors {} and {} overlap: data_offsets [{}, {}] begin before byte {}", file,
                     shown(*previous), shown(*name), entry->begin, entry->end, end);
    }
    if (entry->begin > end) {
      throw bad_data("{}: a hole of {} bytes before tensor {}: data_offsets [{}, {}] begin after byte {}",
                     file, entry->begin - end, shown(*name), entry->begin, entry->end, end);
    }
    end = entry->end;
    previous = name;
  }
  if (end != data_bytes) {
    throw bad_data("{}: {} bytes of data, but the tensors end at byte {}: {} bytes belong to no tensor", file,
                   data_bytes, end, data_bytes - end);
  }
}

void check_metadata(const nlohmann::json& metadata, const std::string& file) {
  if (metadata.is_null()) return;  // none, as writers that always write the key say it
  const bool strings =
      metadata.is_object() &&
      std::all_of(metadata.begin(), metadata.end(), [](const auto& value) { return value.is_string(); });
  if (!strings) {
    throw bad_data("{}: __metadata__ is {}, not an object of strings", file, shown(metadata));
  }
}

}  // namespace

struct SafetensorsFile::State {
  explicit State(const std::filesystem::path& where) : path(where), file(where) {}
  std::filesystem::path path;
  MappedFile file;
  std::string_view header;
  const std::byte* data = nullptr;
  std::map<std::string, Entry> entries;
};

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  auto state = std::make_unique<State>(path);
  const auto file = path.string();
  const std::uint64_t size = state->file.size();
  if (size < kLengthBytes) {
    throw bad_data("{}: {} bytes, too short for a safetensors file (8 bytes of header length come first)",
                   file, size);
  }
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length |= std::to_integer<std::uint64_t>(state->file.data()[i]) << (8 * i);
  }
  if (length > kMaxHeaderBytes) {
    throw bad_data("{}: header length {}, more than the format's limit of {} (not a safetensors file?)", file,
                   length, kMaxHeaderBytes);
  }
  if (length > size - kLengthBytes) {
    throw bad_data("{}: header length {}, but only {} bytes follow it (truncated download?)", file, length,
                   size - kLengthBytes);
  }
  state->header = {reinterpret_cast<const char*>(state->file.data()) + kLengthBytes, length};
  state->data = state->file.data() + kLengthBytes + length;
  const std::uint64_t data_bytes = size - kLengthBytes - length;
  const auto header = parse_json_object(state->header, file + ": header");
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      check_metadata(value, file);
    } else {
      state->entries.emplace(name,
                             read_entry(value, fmt::format("{}: tensor {}", file, shown(name)), data_bytes));
    }
  }
  check_tiling(state->entries, data_bytes, file);
  return SafetensorsFile(std::move(state));
}

SafetensorsFile::SafetensorsFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;
SafetensorsFile::~SafetensorsFile() = default;

const std::filesystem::path& SafetensorsFile::path() const {
  return state_->path;
}
std::string_view SafetensorsFile::header() const {
  return state_->header;
}
std::size_t SafetensorsFile::file_size() const {
  return state_->file.size();
}

const FileStamp& SafetensorsFile::stamp() const {
  return state_->file.stamp();
}
void SafetensorsFile::require_unchanged() const {
  state_->file.require_unchanged();
}

std::optional<StoredTensor> SafetensorsFile::stored(const std::string& name) const {
  const auto found = state_->entries.find(name);
  if (found == state_->entries.end()) return std::nullopt;
  const Entry& entry = found->second;
  return StoredTensor{name, entry.dtype, entry.shape, state_->data + entry.begin, entry.end - entry.begin};
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  names.reserve(state_->entries.size());
  for (const auto& [name, entry] : state_->entries) {
    names.push_back(name);
  }
  return names;
}

std::optional<TensorView> SafetensorsFile::find(const std::string& name) const {
  const auto found = state_->entries.find(name);
  if (found == state_->entries.end()) {
    return std::nullopt;
  }
  const Entry& entry = found->second;
  const auto* type = element_type(entry.dtype);
  if (type == nullptr || !type->dtype) {
    throw bad_data(
        "{}: tensor {} has dtype {}; this version reads F64, F32, F16 and BF16 (convert the checkpoint)",
        state_->path.string(), shown(name), shown(entry.dtype));
  }
  return TensorView{name, *type->dtype, entry.shape, state_->data + entry.begin,
                    static_cast<std::size_t>(entry.end - entry.begin)};
}

std::string TensorView::stored_at(std::int64_t row, std::int64_t col) const {
  std::int64_t stored = stored_rows.empty() ? first_row + row : stored_rows[static_cast<std::size_t>(row)];
  std::vector<std::int64_t> index;
  if (expert_rows > 0) {
    index.push_back(stored / expert_rows);
    stored %= expert_rows;
  }
  if (vector) {
    index.push_back(stored + col);
  } else {
    index.push_back(transposed ? col : stored);
    index.push_back(transposed ? stored : col);
  }
  return fmt::format("[{}]", fmt::join(index, ", "));
}

void copy_block(const TensorView& tensor, std::int64_t row0, std::int64_t rows, std::int64_t col0,
                std::int64_t cols, std::byte* out) {
  if (tensor.shape.empty() || tensor.shape.size() > 2) {
    throw failure("tensor {} has {} dimensions; a block is cut from 1 or 2", shown(tensor.name),
                  tensor.shape.size());
  }
  const std::int64_t height = tensor.shape.size() == 2 ? tensor.shape[0] : 1;
  const std::int64_t width = tensor.shape.back();
  if (row0 < 0 || rows < 0 || row0 > height || rows > height - row0 || col0 < 0 || cols < 0 || col0 > width ||
      cols > width - col0) {
    throw failure("block of rows {}+{} and columns {}+{} does not lie in tensor {} of {} x {}", row0, rows,
                  col0, cols, shown(tensor.name), height, width);
  }
  if (rows == 0 || cols == 0) {
    return;  // an empty shard; `out` may be null
  }
  const auto element = static_cast<std::int64_t>(size_of(tensor.dtype));
  const auto row_bytes = static_cast<std::size_t>(cols * element);
  const std::byte* source = tensor.data + (row0 * width + col0) * element;
  if (cols == width) {
    std::memcpy(out, source, row_bytes * static_cast<std::size_t>(rows));
    return;
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    std::memcpy(out + static_cast<std::size_t>(row) * row_bytes, source + row * width * element, row_bytes);
  }
}

}  // namespace shardrift
