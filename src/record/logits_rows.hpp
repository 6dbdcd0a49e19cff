// The logits of one prompt, read by several threads at once. Rows that are stored as the writer stores them
// (whole rows in uncompressed chunks) are read from the file directly and their checksums verified here, in
// the reading thread: the HDF5 library would do both, but for one thread at a time. Everything else goes
// through the library.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "record/reader.hpp"

namespace shardrift::record {

class LogitsRows {
 public:
  // Throws bad_data naming file and object: no such prompt, no logits, a damaged file. Does not need `reader`
  // afterwards.
  static LogitsRows open(const Reader& reader, const std::string& id);
  LogitsRows(LogitsRows&&) noexcept;
  LogitsRows& operator=(LogitsRows&&) noexcept;
  ~LogitsRows();

  std::int64_t rows() const;
  std::size_t row_bytes() const;
  // Rows that are stored together: reading multiples of them, from a multiple on, reads nothing twice.
  std::int64_t rows_together() const;
  bool direct() const;  // without the library

  // Stored words of rows [begin, end) into `out` (resized). May be called by several threads at once.
  void read(std::int64_t begin, std::int64_t end, std::vector<std::byte>& out) const;

 private:
  struct State;
  explicit LogitsRows(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace shardrift::record
