// Root attributes, /environment, /model and /timing.
#include "common/error.hpp"
#include "record/hdf5_write.hpp"
#include "record/schema.hpp"

namespace shardrift::record {
namespace {

constexpr std::int64_t kMaxVocabulary = 1 << 22;  // 16 times the largest tokenizer of 2025
constexpr std::size_t kMaxDevices = 4096;

void write_model(hid_t root, const ModelInfo& model) {
  const auto group = h5::create_group(root, "model", "the model that ran");
  h5::write_attribute(group, "architecture", model.architecture);
  h5::write_attribute(group, "dtype", model.dtype);
  h5::write_attribute(group, "quantization", model.quantization);
  h5::write_attribute(group, "config", model.config);
  h5::write_attribute(group, "identity", model.identity);
  h5::write_attribute(group, "vocabulary", model.vocabulary);
  if (!model.vocab.empty())
    h5::write_texts(group, "vocab", model.vocab, "token strings as the tokenizer spells them, [token id]");
}

ModelInfo read_model(const h5::Group& group) {
  ModelInfo model;
  model.architecture = group.text("architecture");
  model.dtype = group.text("dtype");
  model.quantization = group.text("quantization");
  model.config = group.text("config");
  model.identity = group.text("identity");
  model.vocabulary = group.integer("vocabulary");
  if (model.vocabulary < 1 || model.vocabulary > kMaxVocabulary)
    throw h5::Hdf5Error(
        fmt::format("{}/@vocabulary: {} is no vocabulary size", group.path(), model.vocabulary));
  if (group.has("vocab")) model.vocab = group.read_texts("vocab");
  return model;
}

DType read_logits_dtype(const h5::Group& root) {
  const std::string name = root.text("logits_dtype");
  for (const auto dtype : {DType::float64, DType::float32, DType::float16, DType::bfloat16})
    if (name == name_of(dtype)) return dtype;
  throw h5::Hdf5Error(fmt::format("/@logits_dtype: unknown type '{}'", name));
}

}  // namespace

void write_environment(hid_t root, const Environment& environment) {
  const auto group =
      h5::create_group(root, "environment", "where the run ran: devices, libraries, variables");
  h5::write_attribute(group, "topology", environment.topology);
  const auto devices = h5::create_group(group, "devices", "one group for each rank, in rank order");
  for (std::size_t i = 0; i < environment.devices.size(); ++i) {
    const DeviceInfo& device = environment.devices[i];
    const auto one = h5::create_group(devices, std::to_string(i), "the device one rank drove");
    h5::write_attribute(one, "rank", std::int64_t{device.rank});
    h5::write_attribute(one, "host", device.host);
    h5::write_attribute(one, "name", device.name);
    h5::write_attribute(one, "uuid", device.uuid);
    h5::write_attribute(one, "compute_capability", device.compute_capability);
    h5::write_attribute(one, "driver", device.driver);
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
  environment.topology = group.text("topology");
  const auto devices = group.group("devices");
  for (std::size_t i = 0; i < kMaxDevices && devices.has(std::to_string(i)); ++i) {
    const auto one = devices.group(std::to_string(i));
    environment.devices.push_back({.rank = static_cast<int>(one.integer("rank")),
                                   .host = one.text("host"),
                                   .name = one.text("name"),
                                   .uuid = one.text("uuid"),
                                   .compute_capability = one.text("compute_capability"),
                                   .driver = one.text("driver")});
  }
  environment.libraries = group.group("libraries").texts();
  environment.variables = group.group("variables").texts();
  environment.settings = group.group("settings").texts();
  environment.collectives = read_collectives(group);
  return environment;
}

void write_schema(hid_t root) {
  h5::write_attribute(root, "schema", std::int64_t{kSchemaMajor});
  h5::write_attribute(root, "schema_minor", std::int64_t{kSchemaMinor});
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
  h5::write_attribute(root, "created", run.created);
  h5::write_attribute(root, "command", run.command);
  h5::write_attribute(root, "version", run.version);
  h5::write_attribute(root, "plan", run.plan);
  h5::write_attribute(root, "mode", run.mode);
  h5::write_attribute(root, "level", run.level);
  h5::write_attribute(root, "prompts_hash", run.prompts_hash);
  h5::write_attribute(root, "resume_key", run.resume_key);
  h5::write_attribute(root, "logits_dtype", name_of(storage_of(run.logits_dtype)));
  write_environment(root, run.environment);
  write_model(root, run.model);
}

RunInfo read_run(const h5::Group& root) {
  check_schema(root);
  RunInfo run;
  run.created = root.text("created");
  run.command = root.text("command");
  run.version = root.text("version");
  run.plan = root.text("plan");
  run.mode = root.text("mode");
  run.level = root.text("level");
  run.prompts_hash = root.text("prompts_hash");
  run.resume_key = root.text("resume_key");
  run.logits_dtype = read_logits_dtype(root);
  run.environment = read_environment(root.group("environment"));
  run.model = read_model(root.group("model"));
  return run;
}

void write_timing(hid_t root, const RunTiming& timing) {
  const auto group = h5::create_group(
      root, "timing", "wall seconds and tokens by phase; seconds of each row: prompts/<id>/forward/seconds");
  h5::write_attribute(group, "load_seconds", timing.load_seconds);
  h5::write_attribute(group, "prefill_seconds", timing.prefill_seconds);
  h5::write_attribute(group, "decode_seconds", timing.decode_seconds);
  h5::write_attribute(group, "prefill_tokens", timing.prefill_tokens);
  h5::write_attribute(group, "decode_tokens", timing.decode_tokens);
}

RunTiming read_timing(const h5::Group& root) {
  RunTiming timing;
  if (!root.has("timing")) return timing;
  const auto group = root.group("timing");
  timing.load_seconds = group.real("load_seconds");
  timing.prefill_seconds = group.real("prefill_seconds");
  timing.decode_seconds = group.real("decode_seconds");
  timing.prefill_tokens = group.integer("prefill_tokens");
  timing.decode_tokens = group.integer("decode_tokens");
  return timing;
}

}  // namespace shardrift::record
