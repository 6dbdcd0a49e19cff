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

// A matrix's tensor in a checkpoint; "{}" in the name stands for the layer.
struct TensorName {
  Part part;
  std::string_view name;
};

// Which rows of its tensor a matrix is, in its own order. Not packed: the tensor is the matrix.
struct PackedRows {
  std::int64_t tensor_rows = 0;  // 0: not packed
  std::vector<Range> rows;
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
// The part's tensor in a checkpoint; `layer` where the name has one.
std::string name_in(const Architecture& architecture, Part part, std::int64_t layer);
// The shape of the tensor that holds the part, alone or packed with others.
std::vector<std::int64_t> stored_shape(const Architecture& architecture, const ModelConfig& model, Part part,
                                       std::int64_t layer);
std::string architecture_names();  // "A, B and C"

}  // namespace shardrift
