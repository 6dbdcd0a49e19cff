// Reading a file that may be anything: every object is checked before it is believed. All throw Hdf5Error
// naming the object. Private to src/record and
// analysis/measure/metrics_file.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "record/hdf5_handles.hpp"

namespace shardrift::record::h5 {

class Dataset;

// A group of the file, reached over hard links only: soft and external links are refused, not followed.
class Group {
 public:
  static Group root(hid_t file, std::uint64_t file_bytes);

  const std::string& path() const { return path_; }
  std::uint64_t file_bytes() const { return file_bytes_; }
  bool has(const std::string& name) const;  // a link of that name, of any kind
  Group group(const std::string& name) const;
  Dataset dataset(const std::string& name) const;
  std::vector<std::string> children() const;  // names of all links

  bool has_attribute(const std::string& name) const;
  std::string text(const std::string& name) const;
  std::string text_or(const std::string& name, const std::string& otherwise) const;  // where it is not there
  std::int64_t integer(const std::string& name) const;
  std::int64_t integer_or(const std::string& name, std::int64_t otherwise) const;
  double real(const std::string& name) const;
  std::map<std::string, std::string> texts() const;  // all text attributes but `description`

  std::vector<std::int32_t> read_int32(const std::string& name) const;                       // [n]
  std::vector<std::int32_t> read_int32(const std::string& name, std::uint64_t count) const;  // [count]
  std::vector<std::string> read_texts(const std::string& name) const;                        // [n] strings

 private:
  Group(Handle handle, std::string path, std::uint64_t file_bytes)
      : handle_(std::move(handle)), path_(std::move(path)), file_bytes_(file_bytes) {}
  Handle open_child(const std::string& name, H5I_type_t kind) const;
  std::string child_path(const std::string& name) const;

  Handle handle_;
  std::string path_;
  std::uint64_t file_bytes_;
};

class Dataset {
 public:
  // Refuses external and virtual storage, filters that plain HDF5 lacks and oversized chunks.
  Dataset(Handle handle, std::string path, std::uint64_t file_bytes);

  const std::string& path() const { return path_; }
  const std::vector<hsize_t>& dims() const { return dims_; }
  hid_t id() const { return handle_; }
  void require_dims(const std::vector<hsize_t>& dims) const;
  bool has_type(hid_t type) const;
  void require_type(hid_t type, const char* name) const;
  // Dims are only numbers: refuses a dataset that claims more elements than its stored bytes can hold.
  void require_stored() const;
  // The same, for one that is read as a whole: also refuses more than 512 MiB.
  void require_readable() const;
  // The same, and that the file stores every byte of it: what is read is never larger than the file.
  void require_uncompressed() const;
  // The whole dataset, without conversion. type and size must have been required.
  void read(hid_t type, void* out) const;
  // Rows [begin, end) of a rank-2 dataset, without conversion.
  void read_rows(hid_t type, std::uint64_t begin, std::uint64_t end, void* out) const;
  // Rows [begin, end) of plane i of a rank-3 dataset, without conversion.
  void read_plane_rows(hid_t type, std::uint64_t i, std::uint64_t begin, std::uint64_t end, void* out) const;

 private:
  void read_block(hid_t type, const std::vector<hsize_t>& start, const std::vector<hsize_t>& count,
                  void* out) const;

  Handle handle_;
  std::string path_;
  std::uint64_t file_bytes_;
  std::vector<hsize_t> dims_;
  std::uint64_t element_bytes_ = 0;
  bool deflated_ = false;
};

}  // namespace shardrift::record::h5
