// What the formats for linears share: a matrix "X.weight" is made of tensors "X.…".
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weights/codings/coded_tensors.hpp"
#include "weights/codings/matrix_coding.hpp"

namespace shardrift {

class LinearCoding : public MatrixCoding {
 public:
  std::vector<std::string> tensors(const std::string& matrix) const final;

 protected:
  explicit LinearCoding(const Checkpoint& checkpoint) : tensors_(checkpoint) {}

  // Suffixes of the tensors that a matrix may be made of (".qweight"): those that are there count.
  virtual std::vector<std::string_view> suffixes() const = 0;

  bool has(const std::string& matrix, std::string_view suffix) const;
  std::string name(const std::string& matrix, std::string_view suffix) const;
  std::string stored_dtype(const std::string& matrix) const;  // of "X.weight"; empty: there is none

  const CodedTensors tensors_;
};

}  // namespace shardrift
