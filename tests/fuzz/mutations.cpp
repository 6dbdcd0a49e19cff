#include "tests/fuzz/mutations.hpp"

#include <gtest/gtest.h>
#include <hdf5.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "tests/unit/record/example_record.hpp"

namespace shardrift::analysis {
namespace {

namespace fs = std::filesystem;

template <typename T>
const T& one_of(const std::vector<T>& choices, std::mt19937& random) {
  return choices[random() % choices.size()];
}

struct Objects {
  std::vector<std::string> groups{"/"};
  std::vector<std::string> datasets;
  std::vector<std::string> all;  // but the root
};

Objects objects_of(hid_t file) {
  Objects objects;
  const auto visit = [](hid_t, const char* name, const H5O_info_t* info, void* out) -> herr_t {
    auto& found = *static_cast<Objects*>(out);
    if (std::strcmp(name, ".") == 0) return 0;
    const std::string path = std::string("/") + name;
    found.all.push_back(path);
    (info->type == H5O_TYPE_DATASET ? found.datasets : found.groups).push_back(path);
    return 0;
  };
  H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_INC, visit, &objects, H5O_INFO_BASIC);
  return objects;
}

// Any type; the caller closes it.
hid_t some_type(std::mt19937& random) {
  switch (random() % 12) {
    case 0: {
      const hid_t type = H5Tcopy(H5T_C_S1);
      H5Tset_size(type, one_of<std::size_t>({1, 7, 300, H5T_VARIABLE}, random));
      return type;
    }
    case 1: {
      const hid_t type = H5Tcreate(H5T_COMPOUND, 16);
      H5Tinsert(type, "a", 0, H5T_STD_I64LE);
      H5Tinsert(type, "b", 8, H5T_IEEE_F64LE);
      return type;
    }
    case 2: {
      const hsize_t dims[2] = {3, 5};
      return H5Tarray_create2(H5T_STD_I32LE, 2, dims);
    }
    case 3:
      return H5Tvlen_create(H5T_STD_I32LE);
    case 4:
      return H5Tcreate(H5T_OPAQUE, one_of<std::size_t>({1, 4, 1000}, random));
    default:
      return H5Tcopy(
          one_of<hid_t>({H5T_STD_I8LE, H5T_STD_U8LE, H5T_STD_I32LE, H5T_STD_I32BE, H5T_STD_I64LE,
                         H5T_STD_U64LE, H5T_IEEE_F32LE, H5T_IEEE_F32BE, H5T_IEEE_F64LE, H5T_STD_REF_OBJ},
                        random));
  }
}

hid_t some_space(std::mt19937& random, bool small) {
  if (random() % 10 == 0) return H5Screate(random() % 2 == 0 ? H5S_SCALAR : H5S_NULL);
  std::vector<hsize_t> dims(1 + random() % 3);
  for (auto& dim : dims)
    dim = small ? random() % 4
                : one_of<hsize_t>({0, 1, 2, 5, 12, 24, 1000, 1U << 22U, 1ULL << 31U, 1ULL << 40U}, random);
  return H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
}

// Deletes what is there and puts a dataset of any type and shape in its place; nothing is written to it.
void replace_dataset(hid_t file, const std::string& path, std::mt19937& random) {
  H5Ldelete(file, path.c_str(), H5P_DEFAULT);
  const hid_t type = some_type(random);
  const hid_t space = some_space(random, false);
  const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  const int rank = H5Sget_simple_extent_ndims(space);
  if (rank > 0 && random() % 4 != 0) {
    std::vector<hsize_t> chunk(static_cast<std::size_t>(rank));
    for (auto& edge : chunk) edge = one_of<hsize_t>({1, 2, 5, 12, 1024, 1U << 20U}, random);
    H5Pset_chunk(properties, rank, chunk.data());
    if (random() % 2 == 0) H5Pset_fletcher32(properties);
    if (random() % 2 == 0) H5Pset_deflate(properties, 9);
  }
  const hid_t made = H5Dcreate2(file, path.c_str(), type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
  if (made >= 0) H5Dclose(made);  // some combinations the library itself refuses
  H5Pclose(properties);
  H5Sclose(space);
  H5Tclose(type);
}

// A megabyte or less of zeros that claims to be up to half a gigabyte.
void replace_by_bomb(hid_t file, const std::string& path, std::mt19937& random) {
  const hid_t old = H5Dopen2(file, path.c_str(), H5P_DEFAULT);
  if (old < 0) return;
  const hid_t type = H5Dget_type(old);
  H5Dclose(old);
  H5Ldelete(file, path.c_str(), H5P_DEFAULT);
  const hsize_t rows = (hsize_t{1} << (16 + random() % 6)) * 16 / std::max<std::size_t>(1, H5Tget_size(type));
  const hsize_t chunk = std::max<hsize_t>(1, rows / 4);
  const hid_t space = H5Screate_simple(1, &rows, nullptr);
  const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(properties, 1, &chunk);
  H5Pset_deflate(properties, 9);
  H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(properties, H5D_FILL_TIME_ALLOC);
  const hid_t made = H5Dcreate2(file, path.c_str(), type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
  if (made >= 0) H5Dclose(made);
  H5Pclose(properties);
  H5Sclose(space);
  H5Tclose(type);
}

void overwrite_values(hid_t file, const std::string& path, std::mt19937& random) {
  const hid_t data = H5Dopen2(file, path.c_str(), H5P_DEFAULT);
  if (data < 0) return;
  const hid_t type = H5Dget_type(data);
  const hid_t space = H5Dget_space(data);
  const auto points = H5Sget_simple_extent_npoints(space);
  const bool plain = H5Tis_variable_str(type) <= 0 && H5Tdetect_class(type, H5T_VLEN) <= 0 &&
                     H5Tdetect_class(type, H5T_REFERENCE) <= 0;
  if (plain && points > 0 && points < 100'000) {
    std::vector<unsigned char> bytes(static_cast<std::size_t>(points) * H5Tget_size(type));
    H5Dread(data, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data());
    for (unsigned i = 0; i < 1 + random() % 6; ++i)
      bytes[random() % bytes.size()] = static_cast<unsigned char>(random() % 3 == 0 ? 0xFF : random());
    H5Dwrite(data, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data());
  }
  H5Sclose(space);
  H5Tclose(type);
  H5Dclose(data);
}

std::vector<std::string> attributes_of(hid_t object) {
  std::vector<std::string> names;
  const auto add = [](hid_t, const char* name, const H5A_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
  };
  H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, nullptr, add, &names);
  return names;
}

void change_attribute(hid_t file, const std::string& path, std::mt19937& random) {
  const hid_t object = H5Oopen(file, path.c_str(), H5P_DEFAULT);
  if (object < 0) return;
  const auto names = attributes_of(object);
  if (!names.empty()) {
    const std::string name = one_of(names, random);
    const hid_t old = H5Aopen(object, name.c_str(), H5P_DEFAULT);
    hid_t type = H5Aget_type(old);
    hid_t space = H5Aget_space(old);
    H5Aclose(old);
    H5Adelete(object, name.c_str());
    if (random() % 3 != 0) {
      if (random() % 3 == 0) {
        H5Tclose(type);
        type = some_type(random);
      }
      if (random() % 4 == 0) {
        H5Sclose(space);
        space = some_space(random, true);
      }
      const hid_t made = H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT);
      const bool plain = H5Tis_variable_str(type) <= 0 && H5Tdetect_class(type, H5T_VLEN) <= 0 &&
                         H5Tdetect_class(type, H5T_REFERENCE) <= 0;
      const auto points = H5Sget_simple_extent_npoints(space);
      if (made >= 0 && plain && points > 0) {
        std::vector<unsigned char> bytes(static_cast<std::size_t>(points) * H5Tget_size(type));
        const auto fill = one_of<int>({0, 1, 0x7F, 0xFF, -1}, random);
        for (auto& byte : bytes)
          byte = static_cast<unsigned char>(fill < 0 ? random() : static_cast<unsigned>(fill));
        H5Awrite(made, type, bytes.data());
      }
      if (made >= 0) H5Aclose(made);
    }
    H5Sclose(space);
    H5Tclose(type);
  }
  H5Oclose(object);
}

// Another object under the name: one further up makes a cycle.
void link_elsewhere(hid_t file, const Objects& objects, const std::string& path, std::mt19937& random) {
  const std::string target = random() % 3 == 0 ? one_of(objects.groups, random) : one_of(objects.all, random);
  switch (random() % 4) {
    case 0:
      H5Ldelete(file, path.c_str(), H5P_DEFAULT);
      H5Lcreate_soft(target.c_str(), file, path.c_str(), H5P_DEFAULT, H5P_DEFAULT);
      break;
    case 1:
      H5Ldelete(file, path.c_str(), H5P_DEFAULT);
      H5Lcreate_external("elsewhere.h5", target.c_str(), file, path.c_str(), H5P_DEFAULT, H5P_DEFAULT);
      break;
    default: {
      const hid_t object = H5Oopen(file, target.c_str(), H5P_DEFAULT);
      H5Ldelete(file, path.c_str(), H5P_DEFAULT);
      if (object >= 0) {
        H5Olink(object, file, path.c_str(), H5P_DEFAULT, H5P_DEFAULT);
        H5Oclose(object);
      }
    }
  }
}

// -- The old format
// ------------------------------------------------------------------------------------------
void copy_attributes(hid_t from, hid_t to) {
  for (const auto& name : attributes_of(from)) {
    const hid_t attribute = H5Aopen(from, name.c_str(), H5P_DEFAULT);
    const hid_t type = H5Aget_type(attribute);
    const hid_t space = H5Aget_space(attribute);
    std::vector<char> value(H5Tget_size(type));
    H5Aread(attribute, type, value.data());
    const hid_t made = H5Acreate2(to, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT);
    EXPECT_GE(H5Awrite(made, type, value.data()), 0);
    H5Aclose(made);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
  }
}

void copy_dataset(hid_t from, hid_t to, const char* name) {
  const hid_t type = H5Dget_type(from);
  const hid_t space = H5Dget_space(from);
  const hid_t properties = H5Dget_create_plist(from);
  const hid_t made = H5Dcreate2(to, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
  const auto count = static_cast<std::size_t>(H5Sget_simple_extent_npoints(space));
  std::vector<char> data(count * H5Tget_size(type));
  if (count > 0) {
    H5Dread(from, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data.data());
    EXPECT_GE(H5Dwrite(made, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data.data()), 0);
  }
  H5Dclose(made);
  H5Pclose(properties);
  H5Sclose(space);
  H5Tclose(type);
}

void copy_group(hid_t from, hid_t to) {
  copy_attributes(from, to);
  const auto copy = [](hid_t group, const char* name, const H5L_info_t*, void* out) -> herr_t {
    const hid_t target = *static_cast<hid_t*>(out);
    const hid_t object = H5Oopen(group, name, H5P_DEFAULT);
    if (H5Iget_type(object) == H5I_DATASET) {
      copy_dataset(object, target, name);
    } else {
      const hid_t made = H5Gcreate2(target, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
      copy_group(object, made);
      H5Gclose(made);
    }
    H5Oclose(object);
    return 0;
  };
  H5Literate(from, H5_INDEX_NAME, H5_ITER_INC, nullptr, copy, &to);
}

}  // namespace

std::string damaged_bytes(const std::string& good, std::mt19937& random) {
  std::string bytes = good;
  const auto place = [&] { return random() % bytes.size(); };
  const auto length = [&](std::size_t at) {
    return std::min<std::size_t>(1 + random() % 64, bytes.size() - at);
  };
  switch (random() % 8) {
    case 0: {
      const std::size_t at = place();
      const std::size_t count = length(at);
      for (std::size_t i = 0; i < count; ++i) bytes[at + i] = static_cast<char>(random());
      break;
    }
    case 1: {
      const std::size_t at = place();
      const std::size_t count = length(at);
      std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), count, random() % 2 == 0 ? '\0' : '\xFF');
      break;
    }
    case 2: {
      const std::size_t from = place();
      const std::size_t to = place();
      std::memmove(bytes.data() + to, good.data() + from, std::min(length(from), bytes.size() - to));
      break;
    }
    case 3:
      bytes.resize(place());
      break;
    default:
      for (unsigned i = 0; i < 1 + random() % 8; ++i)
        bytes[place()] ^= static_cast<char>(1U << (random() % 8));
  }
  return bytes;
}

void change_object(const fs::path& path, std::mt19937& random) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
  H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, access);
  H5Pclose(access);
  ASSERT_GE(file, 0);
  const Objects objects = objects_of(file);
  if (!objects.datasets.empty()) {
    const std::string dataset = one_of(objects.datasets, random);
    const std::string any = one_of(objects.all, random);
    switch (random() % 12) {
      case 0:
        H5Ldelete(file, any.c_str(), H5P_DEFAULT);
        break;
      case 1:
      case 2:
        replace_dataset(file, dataset, random);
        break;
      case 3:
        replace_by_bomb(file, dataset, random);
        break;
      case 4:
      case 5:
      case 6:
        overwrite_values(file, dataset, random);
        break;
      case 7:
      case 8:
        change_attribute(file, random() % 2 == 0 ? one_of(objects.groups, random) : any, random);
        break;
      case 9:
      case 10:
        link_elsewhere(file, objects, any, random);
        break;
      default:
        H5Ldelete(file, any.c_str(), H5P_DEFAULT);
        H5Gclose(H5Gcreate2(file, any.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    }
  }
  ASSERT_GE(H5Fclose(file), 0);
}

void write_in_old_format(const fs::path& from, const fs::path& to) {
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_libver_bounds(access, H5F_LIBVER_EARLIEST, H5F_LIBVER_LATEST);
  const hid_t source = H5Fopen(from.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const hid_t target = H5Fcreate(to.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
  ASSERT_GE(source, 0);
  ASSERT_GE(target, 0);
  copy_group(source, target);
  EXPECT_GE(H5Fclose(source), 0);
  EXPECT_GE(H5Fclose(target), 0);
  H5Pclose(access);
  ASSERT_EQ(record::testing::contents(to)[8], 0);  // the superblock's version, behind the signature
}

}  // namespace shardrift::analysis
