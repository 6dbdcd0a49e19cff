// Root attributes, /environment, /model and /timing.
#include "common/error.hpp"
#include "record/hdf5_fields.hpp"
#include "record/record_fields.hpp"
#include "record/schema.hpp"

namespace shardrift::record {
namespace {

constexpr std::size_t kMaxDevices = 4096;

void write_model(hid_t root, const ModelInfo& model) {
  const auto group = h5::create_group(root, "model", "the model that ran");
  h5::write_fields(group, model);
  if (!model.vocab.empty())
    h5::write_texts(group, "vocab", model.vocab, "token strings as the tokenizer spells them, [token id]");
}

ModelInfo read_model(const h5::Group& group) {
  ModelInfo model;
  h5::read_fields(group, model);
  if (model.vocabulary < 1 || model.vocabulary > kMaxVocabulary)
    throw h5::Hdf5Error(
        fmt::format("{}/@vocabulary: {} is no vocabulary size", group.path(), model.vocabulary));
  if (group.has("vocab")) model.vocab = group.read_texts("vocab");
  return model;
}

}  // namespace

void write_environment(hid_t root, const Environment& environment) {
  const auto group =
      h5::create_group(root, "environment", "where the run ran: devices, libraries, variables");
  h5::write_attribute(group, "topology", environment.topology);
  const auto devices = h5::create_group(group, "devices", "one group for each rank, in rank order");
  for (std::size_t i = 0; i < environment.devices.size(); ++i) {
    const auto one = h5::create_group(devices, std::to_string(i), "the device one rank drove");
    h5::write_fields(one, environment.devices[i]);
  }
  h5::write_attributes(h5::create_group(group, "libraries", "versions, one attribute for each library"),
                       environment.libraries);
  h5::write_attributes(h5::create_group(group, "variables", "environment variables as the run found them"),
                       environment.variables);
  h5::write_attributes(h5::create_group(group, "settings", "backends, math modes, instruction set, threads"),
                       environment.settings);
  write_collectives(group, environment.collectives);
}

Environment read_environment(const h5::Group& group) {
  Environment environment;
  environment.topology = group.text_or("topology", "");
  if (group.has("devices")) {
    const auto devices = group.group("devices");
    for (std::size_t i = 0; i < kMaxDevices && devices.has(std::to_string(i)); ++i) {
      DeviceInfo device;
      h5::read_fields(devices.group(std::to_string(i)), device);
      environment.devices.push_back(std::move(device));
    }
  }
  const auto texts_of = [&](const char* name) {
    return group.has(name) ? group.group(name).texts() : std::map<std::string, std::string>();
  };
  environment.libraries = texts_of("libraries");
  environment.variables = texts_of("variables");
  environment.settings = texts_of("settings");
  environment.collectives = read_collectives(group);
  return environment;
}

void write_schema(hid_t root) {
  h5::write_attribute(root, "schema", std::int64_t{kSchemaMajor});
  h5::write_attribute(root, "schema_minor", std::int64_t{kSchemaMinor});
}

void write_part_of(hid_t root, const std::string& resume_key, const Numerics& numerics) {
  write_schema(root);
  h5::write_attribute(root, "resume_key", resume_key);
  h5::write_attributes(h5::create_group(root, "numerics", "what of the environment can move the bits"),
                       numerics);
}

std::optional<Numerics> read_part_numerics(const h5::Group& root) {
  if (!root.has("numerics")) return std::nullopt;
  return root.group("numerics").texts();
}

void check_schema(const h5::Group& root) {
  if (!root.has_attribute("schema"))
    throw h5::Hdf5Error("/@schema: missing; this is not a record of shardrift");
  const std::int64_t schema = root.integer("schema");
  if (schema < 1) throw h5::Hdf5Error(fmt::format("/@schema: {} is no schema", schema));
  if (schema > kSchemaMajor)
    throw h5::Hdf5Error(fmt::format("/@schema: {} is newer than this program's {}: use a newer shardrift",
                                    schema, kSchemaMajor));
}

void write_run(hid_t root, const RunInfo& run, const std::string& status) {
  write_schema(root);
  h5::write_attribute(root, "description", "logits of one run of shardrift-run (docs/file-format.md)");
  h5::write_attribute(root, "status", status);
  h5::write_fields(root, run);
  write_environment(root, run.environment);
  write_model(root, run.model);
}

RunInfo read_run(const h5::Group& root) {
  check_schema(root);
  RunInfo run;
  h5::read_fields(root, run);
  if (root.has("environment")) run.environment = read_environment(root.group("environment"));
  run.model = read_model(root.group("model"));
  return run;
}

void write_timing(hid_t root, const RunTiming& timing) {
  const auto group = h5::create_group(
      root, "timing", "wall seconds and tokens by phase; seconds of each row: prompts/<id>/forward/seconds");
  h5::write_fields(group, timing);
}

RunTiming read_timing(const h5::Group& root) {
  RunTiming timing;
  if (!root.has("timing")) return timing;
  h5::read_fields(root.group("timing"), timing);
  return timing;
}

}  // namespace shardrift::record
