#include "worker/stated.hpp"

#include <unistd.h>

#include <string_view>

#include "common/field_text.hpp"
#include "common/flag_field.hpp"
#include "common/hash.hpp"
#include "parallel/plan/plan_fields.hpp"
#include "record/library_version.hpp"
#include "record/numerics.hpp"
#include "weights/gguf/gguf_file.hpp"
#include "worker/environment.hpp"

namespace shardrift {
namespace {

template <typename Value>
void state_fields(const Value& value, std::vector<Stated>& stated) {
  for_each_field(value, [&](const auto& row, const auto& field) {
    stated.push_back({"--" + flag_of(row.key), text_of(field)});
  });
}

// Content that is too long for a message, with where it lies.
Stated content(const std::string& what, const std::string& value, const std::filesystem::path& path) {
  const auto hash = sha256_hex(value);
  return {what, hash, fmt::format("SHA-256 {} ({})", hash.substr(0, 16), path.string())};
}

}  // namespace

std::vector<Stated> stated_pinning(const Pinning& pinning) {
  std::vector<Stated> stated;
  state_fields(pinning, stated);
  return stated;
}

std::vector<Stated> stated_variables() {
  std::vector<Stated> stated;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const auto equals = text.find('=');
    if (equals != std::string::npos && record::pins_numerics(text))
      stated.push_back({"the variable " + text.substr(0, equals), text.substr(equals + 1)});
  }
  return stated;
}

std::vector<Stated> stated_options(const RunOptions& options) {
  std::vector<Stated> stated;
  state_fields(options.plan, stated);
  for_each_field(options, [&](const auto& row, const auto& field) {
    for (const std::string_view free : {"model", "collective_profile", "threads", "quiet"})
      if (row.key == free) return;
    stated.push_back({"--" + flag_of(row.key), text_of(field)});
  });
  return stated;
}

std::vector<Stated> stated_config(const RunOptions& options, const ModelConfig& config) {
  const bool gguf = is_gguf(options.model);
  return {content(gguf ? "what the GGUF file's metadata say of the model" : "config.json", config.text,
                  gguf ? options.model : options.model / "config.json"),
          {"the end of sequence", text_of(std::vector<int>(config.eos_ids.begin(), config.eos_ids.end()))}};
}

std::vector<Stated> stated_tensors(const RunOptions& options, const Checkpoint& checkpoint) {
  return {content("the tensors' names and shapes", checkpoint.identity(""), options.model)};
}

std::vector<Stated> stated_libraries(const RankDevice& device, Device kind) {
  constexpr int kAnyThreads = 1;
  const auto here = describe_here(kind, kAnyThreads);
  std::vector<Stated> stated{{"shardrift", SHARDRIFT_VERSION}, {"hdf5", record::hdf5_version()}};
  for (const auto& [name, version] : here.libraries) stated.push_back({name, version});
  stated.push_back({"the CPU's instruction set", here.settings.at("cpu_capability")});
  if (kind == Device::cuda) {
    stated.push_back({"the GPU driver", device.info.driver});
    stated.push_back({"the CUDA runtime", device.runtime});
  }
  return stated;
}

}  // namespace shardrift
