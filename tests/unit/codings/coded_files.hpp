// Quantized checkpoints for the tests: those of references, and changed copies of them.
#pragma once
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../weights/weight_files.hpp"
#include "common/json_file.hpp"
#include "weights/codings/matrix_coding.hpp"

namespace shardrift {

inline std::filesystem::path references() {
  return std::filesystem::path(SHARDRIFT_SOURCE_DIR) / "tests/unit/codings/references";
}

inline nlohmann::json config_of(const std::string& reference) {
  return nlohmann::json::parse(std::ifstream(references() / reference / "config.json"));
}

// The model of a quantization_config; fp8 decodes to its dtype.
inline ModelConfig model_of(const nlohmann::json& quantization) {
  ModelConfig model;
  model.dtype = DType::bfloat16;
  model.quantization = quantization.dump();
  return model;
}

// The tensor that a reference decodes to: its name and shape are the matrix's.
inline TensorView decoded_of(const SafetensorsFile& decoded) {
  return decoded.find(decoded.names().front()).value();
}

inline std::size_t elements_of(const std::vector<std::int64_t>& shape) {
  std::size_t count = 1;
  for (const auto dim : shape) count *= static_cast<std::size_t>(dim);
  return count;
}

// A checkpoint's tensors, to be changed and written again.
struct Tensors {
  struct Tensor {
    std::string dtype;
    std::vector<std::int64_t> shape;
    std::string bytes;
  };
  friend std::size_t elements(const Tensor& tensor) { return elements_of(tensor.shape); }
  std::map<std::string, Tensor> by_name;

  static Tensors of(const std::filesystem::path& directory) {
    Tensors tensors;
    const auto checkpoint = Checkpoint::open(directory);
    for (const auto& stored : checkpoint.stored())
      tensors.by_name[stored.name] = {
          stored.dtype, stored.shape, {reinterpret_cast<const char*>(stored.data), stored.bytes}};
    return tensors;
  }

  // The one whose name ends so.
  Tensor& ending(const std::string& suffix) { return by_name.at(name_ending(suffix)); }
  std::string name_ending(const std::string& suffix) const {
    for (const auto& [name, tensor] : by_name)
      if (name.ends_with(suffix)) return name;
    throw failure("no tensor ends with {}", suffix);
  }

  template <typename T>
  static void put(Tensor& tensor, std::size_t index, T value) {
    std::memcpy(tensor.bytes.data() + index * sizeof(T), &value, sizeof(T));
  }

  void write(const std::filesystem::path& directory) const {
    nlohmann::json header = nlohmann::json::object();
    std::string data;
    for (const auto& [name, tensor] : by_name) {
      header[name] = {{"dtype", tensor.dtype},
                      {"shape", tensor.shape},
                      {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
      data += tensor.bytes;
    }
    std::ofstream(directory / "model.safetensors", std::ios::binary) << safetensors(header.dump(), data);
  }
};

}  // namespace shardrift
