#include "foreign/npy_file.hpp"

#include <array>
#include <fstream>
#include <string_view>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "common/text.hpp"
#include "weights/mapped_file.hpp"

namespace shardrift::foreign {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMaxHeader = 1 << 20;

struct Type {
  std::string_view descr;  // without the byte order
  std::string_view name;   // as safetensors spells it
  std::uint64_t bytes;
};
constexpr std::array<Type, 12> kTypes = {{{"f8", "F64", 8},
                                          {"f4", "F32", 4},
                                          {"f2", "F16", 2},
                                          {"V2", "BF16", 2},
                                          {"i8", "I64", 8},
                                          {"i4", "I32", 4},
                                          {"i2", "I16", 2},
                                          {"i1", "I8", 1},
                                          {"u8", "U64", 8},
                                          {"u4", "U32", 4},
                                          {"u2", "U16", 2},
                                          {"u1", "U8", 1}}};

// What stands behind 'key': in the header, a quoted text, a tuple or a word; "" where there is none.
std::string_view after_key(std::string_view header, std::string_view key) {
  for (const char quote : {'\'', '"'}) {
    const auto at = header.find(fmt::format("{}{}{}:", quote, key, quote));
    if (at == std::string_view::npos) continue;
    auto rest = trimmed(header.substr(at + key.size() + 3));
    if (rest.empty()) return rest;
    const bool text = rest.front() == '\'' || rest.front() == '"';
    const auto end =
        text || rest.front() == '(' ? rest.find(text ? rest.front() : ')', 1) : rest.find_first_of(",}");
    if (end == std::string_view::npos) return {};
    return rest.substr(0, text || rest.front() == '(' ? end + 1 : end);
  }
  return {};
}

std::string value_of(const std::string& header, std::string_view key, const std::string& file) {
  const auto value = after_key(header, key);
  if (value.empty())
    throw bad_data("{}: its header has no {}: {} (save it again with numpy.save)", file, key, shown(header));
  return std::string(value);
}

std::vector<std::int64_t> shape_from(const std::string& text, const std::string& file) {
  std::vector<std::int64_t> shape;
  if (text.size() >= 2 && text.front() == '(')
    for (const auto& word : split_words(text.substr(1, text.size() - 2), ',')) {
      const auto dim = number_from<std::int64_t>(word);
      if (!dim || *dim < 0) throw bad_data("{}: shape {} is none", file, shown(text));
      shape.push_back(*dim);
    }
  if (shape.empty())
    throw bad_data("{}: shape {}: an array of one dimension or more is expected", file, shown(text));
  return shape;
}

const Type& type_from(const std::string& quoted, const std::string& file) {
  const auto descr =
      quoted.size() > 3 ? std::string_view(quoted).substr(1, quoted.size() - 2) : std::string_view();
  for (const auto& type : kTypes) {
    if (descr.empty() || descr.substr(1) != type.descr) continue;
    if (descr.front() == '>')
      throw bad_data("{}: {} is big-endian: save it with array.astype(array.dtype.newbyteorder('<'))", file,
                     quoted);
    return type;
  }
  throw bad_data("{}: dtype {}: logits are float64, float32, float16 or bfloat16, token ids integers", file,
                 quoted);
}

}  // namespace

bool is_npy(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, kMagic.size()> begin{};
  file.read(begin.data(), begin.size());
  return file.gcount() == static_cast<std::streamsize>(begin.size()) &&
         std::string_view(begin.data(), begin.size()) == kMagic;
}

Tensor read_npy(const std::filesystem::path& path) {
  const std::string file = path.string();
  const auto mapped = std::make_shared<MappedFile>(path);
  const auto byte = [&](std::size_t i) { return std::to_integer<std::size_t>(mapped->data()[i]); };
  constexpr std::size_t kVersionAt = kMagic.size();
  if (mapped->size() < kVersionAt + 4 ||
      std::string_view(reinterpret_cast<const char*>(mapped->data()), kMagic.size()) != kMagic)
    throw bad_data("{}: is no .npy file (save it with numpy.save)", file);
  const std::size_t length_bytes = byte(kVersionAt) == 1 ? 2 : 4;
  const std::size_t begin = kVersionAt + 2 + length_bytes;
  if (byte(kVersionAt) < 1 || byte(kVersionAt) > 3)
    throw bad_data("{}: version {} of .npy; 1, 2 and 3 are known", file, byte(kVersionAt));
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes && begin <= mapped->size(); ++i)
    length |= byte(kVersionAt + 2 + i) << (8 * i);
  if (begin > mapped->size() || length > kMaxHeader || length > mapped->size() - begin)
    throw bad_data("{}: ends within its header (truncated?)", file);
  const std::string header(reinterpret_cast<const char*>(mapped->data()) + begin, length);
  const Type type = type_from(value_of(header, "descr", file), file);
  if (value_of(header, "fortran_order", file) != "False")
    throw bad_data("{}: in Fortran order: save numpy.ascontiguousarray(array)", file);
  Tensor tensor{
      file,  std::string(type.name), shape_from(value_of(header, "shape", file), file), nullptr, type.bytes,
      mapped};
  for (const auto dim : tensor.shape)
    if (__builtin_mul_overflow(tensor.bytes, static_cast<std::uint64_t>(dim), &tensor.bytes))
      throw bad_data("{}: its shape is larger than any file", file);
  const auto there = mapped->size() - begin - length;
  if (tensor.bytes != there)
    throw bad_data("{}: its header tells of {} bytes, {} follow it (truncated?)", file, tensor.bytes, there);
  tensor.data = mapped->data() + begin + length;
  return tensor;
}

}  // namespace shardrift::foreign
