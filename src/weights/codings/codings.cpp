#include <array>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "weights/codings/formats.hpp"
#include "weights/gguf/gguf_coding.hpp"

namespace shardrift {
namespace {

struct Format {
  std::string_view method;  // quant_method
  std::unique_ptr<MatrixCoding> (*coding)(const JsonObject&, const ModelConfig&, const Checkpoint&);
};
constexpr std::array kFormats = {Format{"awq", awq_coding},
                                 Format{"bitsandbytes", bitsandbytes_coding},
                                 Format{"compressed-tensors", compressed_tensors_coding},
                                 Format{"fp8", fp8_coding},
                                 Format{"gptq", gptq_coding},
                                 Format{"mxfp4", mxfp4_coding}};

std::string known_formats() {
  std::string list;
  for (const auto& format : kFormats) list += (list.empty() ? "" : ", ") + std::string(format.method);
  return list;
}

// Older bitsandbytes checkpoints have no quant_method.
std::string method_of(const JsonObject& config) {
  if (config.get("quant_method") == nullptr && (config.flag("load_in_4bit") || config.flag("load_in_8bit")))
    return "bitsandbytes";
  return config.text("quant_method");
}

}  // namespace

std::unique_ptr<MatrixCoding> matrix_coding(const ModelConfig& model, const Checkpoint& checkpoint) {
  if (const auto* gguf = checkpoint.gguf()) return gguf_coding(*gguf);
  if (model.quantization.empty()) return nullptr;
  const auto where = (checkpoint.directory() / "config.json").string() + ": quantization_config";
  const auto json = parse_json_object(model.quantization, where);
  const JsonObject config(json, where);
  const auto method = method_of(config);
  for (const auto& format : kFormats)
    if (format.method == method) return format.coding(config, model, checkpoint);
  throw bad_data(
      "{}: quant_method is {}, a format that this version does not decode; it knows {} (or take the "
      "original checkpoint)",
      where, shown(method), known_formats());
}

std::string quantization_by(const MatrixCoding* coding) {
  return coding == nullptr || !coding->quantized() ? std::string() : coding->description();
}

}  // namespace shardrift
