// What the formats for linears share: a matrix "X.weight" is made of tensors "X.…".
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/json_reader.hpp"
#include "weights/codings/coded_tensors.hpp"
#include "weights/codings/matrix_coding.hpp"

namespace shardrift {

class LinearCoding : public MatrixCoding {
 public:
  std::vector<std::string> tensors(const std::string& matrix) const final;
  // A coded matrix whose module the config says is left unquantized is refused: one of the two is wrong.
  void check(const std::string& matrix, const Shape& shape) const final;

 protected:
  LinearCoding(const JsonObject& config, const Checkpoint& checkpoint);

  virtual void check_tensors(const std::string& matrix, const Shape& shape) const = 0;

  // Suffixes of the tensors that a matrix may be made of (".qweight"): those that are there count.
  virtual std::vector<std::string_view> suffixes() const = 0;

  bool has(const std::string& matrix, std::string_view suffix) const;
  std::string name(const std::string& matrix, std::string_view suffix) const;
  std::string stored_dtype(const std::string& matrix) const;  // of "X.weight"; empty: there is none

  const CodedTensors tensors_;

 private:
  struct LeftOut {
    std::string key, module;
  };
  std::vector<LeftOut> left_out_;
};

}  // namespace shardrift
