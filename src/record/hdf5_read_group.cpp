#include <algorithm>
#include <exception>

#include "common/error.hpp"
#include "record/hdf5_read.hpp"
#include "record/hdf5_types.hpp"

namespace shardrift::record::h5 {
namespace {

constexpr std::size_t kMaxNames = 1'000'000;
constexpr hsize_t kMaxElements = 1U << 22U;  // of one list: tokens of a text or a vocabulary, prompts
constexpr std::size_t kMaxTextBytes = 64U << 20U;

template <typename... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> text, Args&&... args) {
  throw Hdf5Error(fmt::format(text, std::forward<Args>(args)...));
}

struct Names {
  std::vector<std::string> list;
  bool failed = false;
};

// Called from C: nothing may be thrown through it.
herr_t collect(Names& names, const char* name) noexcept {
  try {
    if (names.list.size() >= kMaxNames) {
      names.failed = true;
      return 1;
    }
    names.list.emplace_back(name);
    return 0;
  } catch (const std::exception&) {
    names.failed = true;
    return 1;
  }
}
herr_t collect_link(hid_t /*group*/, const char* name, const H5L_info_t* /*info*/, void* out) {
  return collect(*static_cast<Names*>(out), name);
}
herr_t collect_attribute(hid_t /*group*/, const char* name, const H5A_info_t* /*info*/, void* out) {
  return collect(*static_cast<Names*>(out), name);
}

Handle scalar_attribute(hid_t object, const std::string& name, const std::string& what) {
  Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, what);
  const Handle space(H5Aget_space(attribute), H5Sclose, what);
  if (H5Sget_simple_extent_npoints(space) != 1) refuse("{}: is not a single value", what);
  return attribute;
}

// `wanted` must be the stored type exactly: nothing is converted.
void read_number(hid_t object, const std::string& name, const std::string& what, hid_t wanted,
                 const char* type_name, void* out) {
  if (!check_bool(H5Aexists(object, name.c_str()), what)) refuse("{}: missing attribute", what);
  const Handle attribute = scalar_attribute(object, name, what);
  const Handle type(H5Aget_type(attribute), H5Tclose, what);
  if (!check_bool(H5Tequal(type, wanted), what)) refuse("{}: is not of type {}", what, type_name);
  check(H5Aread(attribute, wanted, out), what);
}

bool is_fixed_text(hid_t type) {
  return H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0;
}

std::string trimmed(const char* begin, std::size_t bytes) {
  while (bytes > 0 && begin[bytes - 1] == '\0') --bytes;
  return {begin, bytes};
}

std::string read_text(hid_t attribute, hid_t type, const std::string& what) {
  const std::size_t bytes = H5Tget_size(type);
  if (bytes == 0 || bytes > kMaxTextBytes) refuse("{}: a text of {} bytes", what, bytes);
  std::string text(bytes, '\0');
  check(H5Aread(attribute, type, text.data()), what);
  return trimmed(text.data(), text.size());
}

// Of an object's header: version 2 has a checksum.
unsigned header_version(hid_t group, const std::string& name, const std::string& what) {
#if H5_VERSION_GE(1, 12, 0)
  H5O_native_info_t info;
  check(H5Oget_native_info_by_name(group, name.c_str(), &info, H5O_NATIVE_INFO_HDR, H5P_DEFAULT), what);
#else
  H5O_info_t info;
  check(H5Oget_info_by_name2(group, name.c_str(), &info, H5O_INFO_HDR, H5P_DEFAULT), what);
#endif
  return info.hdr.version;
}

// A list becomes a vector, and every text of one an object: few stored bytes may claim very many.
void require_listable(const Dataset& data) {
  data.require_readable();
  if (data.dims()[0] > kMaxElements)
    refuse("{}: {} elements are more than {}", data.path(), data.dims()[0], kMaxElements);
}

}  // namespace

Group Group::root(hid_t file, std::uint64_t file_bytes) {
  if (header_version(file, "/", "/") < 2) refuse("/: {}", kOldFormat);
  return {Handle(H5Gopen2(file, "/", H5P_DEFAULT), H5Gclose, "/"), "", file_bytes};
}

std::string Group::child_path(const std::string& name) const {
  return path_ + "/" + name;
}

bool Group::has(const std::string& name) const {
  return check_bool(H5Lexists(handle_, name.c_str(), H5P_DEFAULT), child_path(name));
}

Handle Group::open_child(const std::string& name, H5I_type_t kind) const {
  const std::string what = child_path(name);
  const char* wanted = kind == H5I_GROUP ? "group" : "dataset";
  if (!has(name)) refuse("{}: missing {}", what, wanted);
  H5L_info_t info;
  check(H5Lget_info(handle_, name.c_str(), &info, H5P_DEFAULT), what);
  if (info.type != H5L_TYPE_HARD)
    refuse("{}: is a soft or external link; records hold their data themselves", what);
  if (header_version(handle_, name, what) < 2) refuse("{}: {}", what, kOldFormat);
  Handle object(H5Oopen(handle_, name.c_str(), H5P_DEFAULT), H5Oclose, what);
  if (H5Iget_type(object) != kind) refuse("{}: is not a {}", what, wanted);
  return object;
}

Group Group::group(const std::string& name) const {
  return {open_child(name, H5I_GROUP), child_path(name), file_bytes_};
}

Dataset Group::dataset(const std::string& name) const {
  return {open_child(name, H5I_DATASET), child_path(name), file_bytes_};
}

std::vector<std::string> Group::children() const {
  Names names;
  check(H5Literate(handle_, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, collect_link, &names), path_ + "/");
  if (names.failed) refuse("{}/: holds more than {} objects", path_, kMaxNames);
  return names.list;
}

bool Group::has_attribute(const std::string& name) const {
  return check_bool(H5Aexists(handle_, name.c_str()), child_path("@" + name));
}

std::string Group::text(const std::string& name) const {
  const std::string what = child_path("@" + name);
  if (!has_attribute(name)) refuse("{}: missing attribute", what);
  const Handle attribute = scalar_attribute(handle_, name, what);
  const Handle type(H5Aget_type(attribute), H5Tclose, what);
  if (!is_fixed_text(type)) refuse("{}: is not a text of fixed length", what);
  return read_text(attribute, type, what);
}

std::string Group::text_or(const std::string& name, const std::string& otherwise) const {
  return has_attribute(name) ? text(name) : otherwise;
}

std::int64_t Group::integer_or(const std::string& name, std::int64_t otherwise) const {
  return has_attribute(name) ? integer(name) : otherwise;
}

std::int64_t Group::integer(const std::string& name) const {
  std::int64_t value = 0;
  read_number(handle_, name, child_path("@" + name), int64_type(), "int64", &value);
  return value;
}

double Group::real(const std::string& name) const {
  double value = 0;
  read_number(handle_, name, child_path("@" + name), float_type(DType::float64), "float64", &value);
  return value;
}

std::map<std::string, std::string> Group::texts() const {
  Names names;
  check(H5Aiterate2(handle_, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, collect_attribute, &names),
        path_ + "/@");
  if (names.failed) refuse("{}: holds more than {} attributes", path_, kMaxNames);
  std::map<std::string, std::string> texts;
  for (const auto& name : names.list) {
    if (name == "description") continue;
    const std::string what = child_path("@" + name);
    const Handle attribute(H5Aopen(handle_, name.c_str(), H5P_DEFAULT), H5Aclose, what);
    const Handle space(H5Aget_space(attribute), H5Sclose, what);
    const Handle type(H5Aget_type(attribute), H5Tclose, what);
    if (H5Sget_simple_extent_npoints(space) == 1 && is_fixed_text(type))
      texts.emplace(name, read_text(attribute, type, what));
  }
  return texts;
}

std::vector<std::int32_t> Group::read_int32(const std::string& name) const {
  const Dataset data = dataset(name);
  if (data.dims().size() != 1) refuse("{}: has {} dimensions, not 1", data.path(), data.dims().size());
  const Handle type = int32_type();
  data.require_type(type, "int32");
  require_listable(data);
  std::vector<std::int32_t> values(data.dims()[0]);
  data.read(type, values.data());
  return values;
}

std::vector<std::int32_t> Group::read_int32(const std::string& name, std::uint64_t count) const {
  dataset(name).require_dims({count});
  return read_int32(name);
}

std::vector<std::string> Group::read_texts(const std::string& name) const {
  const Dataset data = dataset(name);
  if (data.dims().size() != 1) refuse("{}: has {} dimensions, not 1", data.path(), data.dims().size());
  const Handle type(H5Dget_type(data.id()), H5Tclose, data.path());
  if (!is_fixed_text(type)) refuse("{}: does not hold texts of fixed length", data.path());
  require_listable(data);
  const std::size_t width = H5Tget_size(type);
  std::string block(width * data.dims()[0], '\0');
  data.read(type, block.data());
  std::vector<std::string> texts;
  texts.reserve(data.dims()[0]);
  for (hsize_t i = 0; i < data.dims()[0]; ++i) texts.push_back(trimmed(block.data() + i * width, width));
  return texts;
}

}  // namespace shardrift::record::h5
