// An architecture: how its config.json reads into a description, and what its checkpoints call the model's
// matrices. One file each in this folder; architectures.cpp lists them. Nothing else in the program knows an
// architecture's name.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/json_reader.hpp"
#include "parallel/plan/dealing.hpp"
#include "weights/part.hpp"

namespace shardrift {

// A matrix's tensor in a checkpoint; the first "{}" in the name stands for the layer, a second for the
// expert.
struct TensorName {
  Part part;
  std::string_view name;
};

// How a matrix lies in its tensor. By default the tensor is the matrix.
struct PackedRows {
  std::int64_t tensor_rows = 0;  // 0: not packed
  std::vector<Range> rows;       // of the tensor, in the matrix's own order
  std::int64_t stride = 1;       // of the rows in those ranges every stride-th alone, from the first on
  std::int64_t experts = 0;      // the tensor has a leading dimension of so many experts; 0: it has none
  bool transposed = false;       // the tensor is [in, out]; not where it is coded (codings/)
};

struct Architecture {
  std::string_view name;        // in config.json's architectures
  std::string_view model_type;  // in config.json where architectures is missing
  // Fills in all but text, architecture, dtype and eos_ids. Throws bad_data naming file, key, value and what
  // is expected.
  void (*describe)(const JsonObject& config, ModelConfig& model);
  std::span<const TensorName> tensors;
  // Null: every matrix has a tensor of its own.
  PackedRows (*packed)(const ModelConfig& model, Part part) = nullptr;
};

std::span<const Architecture* const> architectures();
const Architecture* find_architecture(std::string_view name);  // null: not one of them
const Architecture* architecture_of_type(std::string_view model_type);
const Architecture& architecture_of(const ModelConfig& model);  // which was described
// The part's tensor in a checkpoint; `layer` and `expert` where the name has them.
std::string name_in(const Architecture& architecture, Part part, std::int64_t layer, std::int64_t expert = 0);
PackedRows packed_in(const Architecture& architecture, const ModelConfig& model, Part part);
// The shape of the tensor that holds the part, alone or packed with others, as it is stored plainly.
std::vector<std::int64_t> stored_shape(const Architecture& architecture, const ModelConfig& model, Part part,
                                       std::int64_t layer);
// The same tensor as a matrix [out, in], all experts' rows one below the other: as codings see it.
std::vector<std::int64_t> matrix_shape(const Architecture& architecture, const ModelConfig& model, Part part,
                                       std::int64_t layer);
std::string architecture_names();  // "A, B and C"

}  // namespace shardrift
