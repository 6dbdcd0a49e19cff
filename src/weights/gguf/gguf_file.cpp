#include "weights/gguf/gguf_file.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>

#include "common/error.hpp"
#include "common/json_file.hpp"

namespace shardrift {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr std::uint32_t kMostDims = 4;         // ggml's own limit
constexpr std::uint64_t kLongestName = 65535;  // the format's limit of keys
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr int kDeepestArray = 4;
// The least that one may take: a key's length, its kind and a byte; a name's length, dimensions, type,
// offset.
constexpr std::uint64_t kLeastPair = 13, kLeastTensor = 24;
constexpr std::size_t kLeastString = 8, kLeastArray = 12;  // their lengths

// Reads on in the mapped bytes; what is beyond them throws. what: of which file.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : bytes_(bytes) {}
  std::uint64_t at() const { return at_; }
  std::uint64_t left() const { return bytes_.size() - at_; }
  std::string_view since(std::uint64_t begin) const { return bytes_.substr(begin, at_ - begin); }

  std::string_view take(std::uint64_t size, const std::string& what) {
    if (size > left())
      throw bad_data("{} takes {} bytes at byte {}, but only {} follow (truncated download?)", what, size,
                     at_, left());
    const auto taken = bytes_.substr(at_, size);
    at_ += size;
    return taken;
  }
  template <typename T>
  T number(const std::string& what) {
    T value;
    std::memcpy(&value, take(sizeof value, what).data(), sizeof value);
    return value;
  }
  std::string_view string(const std::string& what) {
    const auto length = number<std::uint64_t>(what + "'s length");
    return take(length, what);
  }
  std::string name(const std::string& what) {
    const auto name = string(what);
    if (name.empty() || name.size() > kLongestName)
      throw bad_data("{} has {} bytes, 1 to {} are expected", what, name.size(), kLongestName);
    return std::string(name);
  }

 private:
  std::string_view bytes_;
  std::uint64_t at_ = 0;
};

GgufKind read_kind(Cursor& cursor, const std::string& where) {
  const auto kind = cursor.number<std::uint32_t>(where + ": a kind of value");
  if (kind > static_cast<std::uint32_t>(GgufKind::float64))
    throw bad_data("{}: its value is of kind {}, 0 to 12 are known", where, kind);
  return static_cast<GgufKind>(kind);
}

// Elements of strings and arrays are walked, so that whoever reads them later stays inside the file. depth:
// how many arrays are around the value.
GgufValue read_value(Cursor& cursor, GgufKind kind, const std::string& where, int depth = 0) {
  GgufValue value{.kind = kind};
  if (kind == GgufKind::string) {
    value.bytes = cursor.string(where);
    return value;
  }
  if (kind != GgufKind::array) {
    value.bytes = cursor.take(size_of(kind), where);
    return value;
  }
  if (depth == kDeepestArray) throw bad_data("{}: arrays nested deeper than {}", where, kDeepestArray);
  value.element = read_kind(cursor, where);
  value.count = cursor.number<std::uint64_t>(where + ": the array's length");
  const std::size_t size = size_of(value.element);
  const std::size_t least = size != 0 ? size : value.element == GgufKind::string ? kLeastString : kLeastArray;
  if (value.count > cursor.left() / least)
    throw bad_data(
        "{}: an array of {} elements of at least {} bytes, but only {} follow (truncated download?)", where,
        value.count, least, cursor.left());
  const auto begin = cursor.at();
  if (size != 0) {
    cursor.take(value.count * size, where);
  } else {
    for (std::uint64_t i = 0; i < value.count; ++i) read_value(cursor, value.element, where, depth + 1);
  }
  value.bytes = cursor.since(begin);
  return value;
}

struct Described {
  GgufTensor tensor;
  std::uint64_t offset = 0;
};

Described read_tensor(Cursor& cursor, const std::string& where, std::uint64_t file_bytes) {
  Described one;
  const auto dims = cursor.number<std::uint32_t>(where + ": number of dimensions");
  if (dims > kMostDims) throw bad_data("{}: {} dimensions, at most {} are expected", where, dims, kMostDims);
  std::vector<std::uint64_t> sizes;  // the row's first
  for (std::uint32_t i = 0; i < dims; ++i)
    sizes.push_back(cursor.number<std::uint64_t>(where + ": dimensions"));
  const auto id = cursor.number<std::uint32_t>(where + ": type");
  one.offset = cursor.number<std::uint64_t>(where + ": offset");
  one.tensor.type = gguf_type(id);
  if (one.tensor.type == nullptr)
    throw bad_data(
        "{}: type {} is not known to this version (a newer or withdrawn quantization: convert the file)",
        where, id);
  const GgufType& type = *one.tensor.type;
  std::uint64_t elements = 1;
  for (const auto size : sizes) {
    if (size == 0 || size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) ||
        __builtin_mul_overflow(elements, size, &elements))
      throw bad_data("{}: dimensions {} are no tensor's that fits into a file", where, shown(sizes));
  }
  const std::uint64_t row = sizes.empty() ? 1 : sizes.front();
  if (row % type.block != 0)
    throw bad_data("{}: rows of {} elements, but {} has blocks of {}", where, row, type.name, type.block);
  if (__builtin_mul_overflow(elements / type.block, std::uint64_t{type.bytes}, &one.tensor.bytes) ||
      one.tensor.bytes > file_bytes)
    throw bad_data("{}: dimensions {} of {} take more bytes than the file has ({})", where, shown(sizes),
                   type.name, file_bytes);
  for (auto size = sizes.rbegin(); size != sizes.rend(); ++size)
    one.tensor.shape.push_back(static_cast<std::int64_t>(*size));
  return one;
}

// As GGUF's writers lay them out: in order of offsets each begins where the one before ended, aligned.
void check_tiling(const std::map<std::string, Described>& tensors, std::uint64_t alignment,
                  std::uint64_t data_bytes, const std::string& file) {
  std::vector<std::pair<const std::string*, const Described*>> order;
  for (const auto& [name, one] : tensors) {
    if (one.offset % alignment != 0)
      throw bad_data("{}: tensor {}: offset {} is not a multiple of the alignment, {}", file, shown(name),
                     one.offset, alignment);
    if (one.offset > data_bytes || one.tensor.bytes > data_bytes - one.offset)
      throw bad_data(
          "{}: tensor {}: {} bytes at offset {} go beyond the {} bytes of data in the file (truncated "
          "download?)",
          file, shown(name), one.tensor.bytes, one.offset, data_bytes);
    order.emplace_back(&name, &one);
  }
  std::sort(order.begin(), order.end(),
            [](const auto& a, const auto& b) { return a.second->offset < b.second->offset; });
  std::uint64_t end = 0;
  const std::string* previous = nullptr;
  for (const auto& [name, one] : order) {
    if (one->offset < end)
      throw bad_data("{}: tensors {} and {} overlap: offset {} lies before byte {}", file, shown(*previous),
                     shown(*name), one->offset, end);
    if (one->offset - end >= alignment)
      throw bad_data("{}: a hole of {} bytes before tensor {} at offset {}", file, one->offset - end,
                     shown(*name), one->offset);
    end = one->offset + one->tensor.bytes;
    previous = name;
  }
}

std::uint64_t alignment_of(const GgufMetadata& metadata) {
  constexpr const char* kKey = "general.alignment";
  const auto given = metadata.integer(kKey);
  if (!given) return kDefaultAlignment;
  const auto alignment = static_cast<std::uint64_t>(*given);
  if (*given <= 0 || (alignment & (alignment - 1)) != 0 || alignment > (1U << 20U))
    throw bad_data("{}: {} is {}, a power of two up to 1048576 is expected", metadata.file(), kKey, *given);
  return alignment;
}

void check_version(std::uint32_t version, const std::string& file) {
  if (version == 2 || version == 3) return;
  if (__builtin_bswap32(version) == 2 || __builtin_bswap32(version) == 3)
    throw bad_data(
        "{}: a big-endian GGUF file; this version reads little-endian ones (convert the model again)", file);
  throw bad_data("{}: GGUF version {}; this version reads 2 and 3{}", file, version,
                 version == 1 ? " (convert the model again)" : "");
}

void check_count(const char* what, std::uint64_t count, std::uint64_t least, std::uint64_t left,
                 const std::string& file) {
  if (count > left / least)
    throw bad_data("{}: {} {}, but only {} bytes follow (truncated download?)", file, count, what, left);
}

}  // namespace

struct GgufFile::State {
  explicit State(const std::filesystem::path& where) : path(where), file(where), metadata(where.string()) {}
  std::filesystem::path path;
  MappedFile file;
  GgufMetadata metadata;
  std::string_view header;
  std::map<std::string, GgufTensor> tensors;
};

GgufFile GgufFile::open(const std::filesystem::path& path) {
  auto state = std::make_unique<State>(path);
  const auto file = path.string();
  const std::string_view bytes(reinterpret_cast<const char*>(state->file.data()), state->file.size());
  if (!bytes.starts_with(kMagic))
    throw bad_data(
        "{}: no GGUF file (it does not begin with \"GGUF\"); a model is a Hugging Face directory or a GGUF "
        "file",
        file);
  Cursor cursor(bytes);
  const auto of_file = [&](const auto& what) { return fmt::format("{}: {}", file, what); };
  cursor.take(kMagic.size(), of_file("the magic number"));
  check_version(cursor.number<std::uint32_t>(of_file("the version")), file);
  const auto tensors = cursor.number<std::uint64_t>(of_file("the number of tensors"));
  const auto pairs = cursor.number<std::uint64_t>(of_file("the number of keys"));
  check_count("keys", pairs, kLeastPair, cursor.left(), file);
  check_count("tensors", tensors, kLeastTensor, cursor.left(), file);
  for (std::uint64_t i = 0; i < pairs; ++i) {
    auto key = cursor.name(fmt::format("{}: key {}", file, i));
    const auto where = fmt::format("{}: key {}", file, shown(key));
    const auto kind = read_kind(cursor, where);
    const auto value = read_value(cursor, kind, where);
    if (!state->metadata.add(std::move(key), value)) throw bad_data("{}: appears twice", where);
  }
  const auto alignment = alignment_of(state->metadata);
  std::map<std::string, Described> described;
  for (std::uint64_t i = 0; i < tensors; ++i) {
    auto name = cursor.name(fmt::format("{}: tensor {}'s name", file, i));
    const auto where = fmt::format("{}: tensor {}", file, shown(name));
    auto one = read_tensor(cursor, where, bytes.size());
    if (!described.emplace(std::move(name), std::move(one)).second)
      throw bad_data("{}: appears twice", where);
  }
  // A file without tensors may end where its header does.
  const std::uint64_t begin =
      std::min<std::uint64_t>((cursor.at() + alignment - 1) / alignment * alignment, bytes.size());
  check_tiling(described, alignment, bytes.size() - begin, file);
  state->header = bytes.substr(0, begin);
  for (auto& [name, one] : described) {
    one.tensor.data = state->file.data() + begin + one.offset;
    state->tensors.emplace(name, std::move(one.tensor));
  }
  return GgufFile(std::move(state));
}

GgufFile::GgufFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
GgufFile::GgufFile(GgufFile&&) noexcept = default;
GgufFile& GgufFile::operator=(GgufFile&&) noexcept = default;
GgufFile::~GgufFile() = default;

const std::filesystem::path& GgufFile::path() const {
  return state_->path;
}
const GgufMetadata& GgufFile::metadata() const {
  return state_->metadata;
}
const std::map<std::string, GgufTensor>& GgufFile::tensors() const {
  return state_->tensors;
}
std::string_view GgufFile::header() const {
  return state_->header;
}
std::size_t GgufFile::file_size() const {
  return state_->file.size();
}
const FileStamp& GgufFile::stamp() const {
  return state_->file.stamp();
}
void GgufFile::require_unchanged() const {
  state_->file.require_unchanged();
}

bool is_gguf(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return false;
  std::ifstream file(path, std::ios::binary);
  std::string magic(kMagic.size(), '\0');
  file.read(magic.data(), static_cast<std::streamsize>(magic.size()));
  return file && magic == kMagic;
}

}  // namespace shardrift
