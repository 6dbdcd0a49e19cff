// /prompts/<id>: one finished prompt.
#include <algorithm>
#include <array>
#include <cmath>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "record/content_hash.hpp"
#include "record/hdf5_types.hpp"
#include "record/hdf5_write.hpp"
#include "record/logits_dataset.hpp"
#include "record/schema.hpp"

namespace shardrift::record {
namespace {

constexpr std::int64_t kMaxTop = 1 << 20;
void write_int32(hid_t group, const char* name, const std::vector<std::int32_t>& values,
                 std::string_view description) {
  h5::write_dataset(group, name, h5::int32_type(), std::array<hsize_t, 1>{values.size()}, values.data(),
                    description);
}

void write_forward(hid_t prompt, const PromptRecord& record) {
  const auto& rows = record.rows;
  const auto group =
      h5::create_group(prompt, "forward", "the forward pass that computed each row, [steps] each");
  write_int32(group, "call", column(rows, &Row::forward_call), "number of the pass in its process");
  write_int32(group, "rows", column(rows, &Row::forward_rows), "rows in that pass");
  write_int32(group, "batch_row", column(rows, &Row::batch_row), "this row's place in the pass");
  const auto phases = column(rows, &Row::phase);
  const auto seconds = column(rows, &Row::seconds);
  const std::array<hsize_t, 1> dims{rows.size()};
  h5::write_dataset(group, "phase", h5::phase_type(), dims, phases.data(), "0 = prefill, 1 = decode");
  h5::write_dataset(group, "seconds", h5::float_type(DType::float64), dims, seconds.data(),
                    "wall time of the pass, s");
  if (!record.prefilled_with.empty())
    h5::write_texts(group, "prefill_prompts", record.prefilled_with,
                    "ids of the prompts in its prefill pass, in the order of their rows");
  if (!record.decoded_with.empty())
    h5::write_texts(group, "decode_prompts", record.decoded_with,
                    "ids of the prompts that it was decoded with, by batch_row");
}

void write_top(hid_t prompt, const Top& top, std::size_t steps) {
  const auto group = h5::create_group(prompt, "top", "the k most likely tokens of each row, [steps, k]");
  const std::array<hsize_t, 2> dims{steps, static_cast<hsize_t>(top.k)};
  h5::write_dataset(group, "ids", h5::int32_type(), dims, top.ids.data(), "token ids, most likely first");
  h5::write_dataset(group, "log_probabilities", h5::float_type(DType::float32), dims,
                    top.log_probabilities.data(),
                    "natural logarithm; float64 log-softmax rounded to float32");
}

Top read_top(const h5::Group& group, std::uint64_t steps, std::int64_t vocabulary) {
  const auto ids = group.dataset("ids");
  const auto values = group.dataset("log_probabilities");
  if (ids.dims().size() != 2 || ids.dims()[0] != steps || ids.dims()[1] > kMaxTop)
    throw h5::Hdf5Error(fmt::format("{}: is not [{} steps, k]", ids.path(), steps));
  values.require_dims(ids.dims());
  const auto int32 = h5::int32_type();
  const auto float32 = h5::float_type(DType::float32);
  ids.require_type(int32, "int32");
  values.require_type(float32, "float32");
  ids.require_readable();
  values.require_readable();
  Top top;
  top.k = static_cast<std::int64_t>(ids.dims()[1]);
  top.ids.resize(steps * ids.dims()[1]);
  top.log_probabilities.resize(top.ids.size());
  ids.read(int32, top.ids.data());
  values.read(float32, top.log_probabilities.data());
  for (const std::int32_t id : top.ids)
    if (id < 0 || id >= vocabulary)
      throw h5::Hdf5Error(fmt::format("{}: token {} is outside the vocabulary", ids.path(), id));
  return top;
}

void read_forward(const h5::Group& group, std::vector<Row>& rows) {
  const auto call = group.read_int32("call", rows.size());
  const auto in_pass = group.read_int32("rows", rows.size());
  const auto batch_row = group.read_int32("batch_row", rows.size());
  const auto phase = group.dataset("phase");
  const auto seconds = group.dataset("seconds");
  phase.require_dims({rows.size()});
  seconds.require_dims({rows.size()});
  const auto phase_type = h5::phase_type();
  const auto float64 = h5::float_type(DType::float64);
  phase.require_type(phase_type, "enum of prefill and decode");
  seconds.require_type(float64, "float64");
  phase.require_readable();
  seconds.require_readable();
  std::vector<std::uint8_t> phases(rows.size());
  std::vector<double> times(rows.size());
  phase.read(phase_type, phases.data());
  seconds.read(float64, times.data());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (phases[i] > 1)
      throw h5::Hdf5Error(fmt::format("{}: {} at row {} is no phase", phase.path(), phases[i], i));
    rows[i].forward_call = call[i];
    rows[i].forward_rows = in_pass[i];
    rows[i].batch_row = batch_row[i];
    rows[i].phase = static_cast<Phase>(phases[i]);
    rows[i].seconds = times[i];
  }
}

// Ids of prompts that shared a pass, this one among them; empty where it was alone and in older files.
std::vector<std::string> read_together(const h5::Group& forward, const std::string& name,
                                       const std::string& id) {
  if (!forward.has(name)) return {};
  auto ids = forward.read_texts(name);
  for (const auto& one : ids)
    if (!valid_id(one))
      throw h5::Hdf5Error(fmt::format("{}/{}: holds what is no prompt's id", forward.path(), name));
  if (std::count(ids.begin(), ids.end(), id) != 1)
    throw h5::Hdf5Error(fmt::format("{}/{}: does not name '{}' itself once", forward.path(), name, id));
  return ids;
}

void check_tokens(const std::vector<std::int32_t>& tokens, std::int64_t vocabulary, const std::string& path) {
  for (const std::int32_t token : tokens)
    if (token < 0 || token >= vocabulary)
      throw h5::Hdf5Error(
          fmt::format("{}: token {} is outside the vocabulary of {}", path, token, vocabulary));
}

std::vector<Row> read_rows(const h5::Group& prompt, std::int64_t vocabulary) {
  const auto input_ids = prompt.read_int32("input_ids");
  const auto positions = prompt.read_int32("positions", input_ids.size());
  const auto chosen = prompt.read_int32("chosen", input_ids.size());
  check_tokens(input_ids, vocabulary, prompt.path() + "/input_ids");
  check_tokens(chosen, vocabulary, prompt.path() + "/chosen");
  std::vector<Row> rows(input_ids.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (positions[i] < 0 || (i > 0 && positions[i] <= positions[i - 1]))
      throw h5::Hdf5Error(
          fmt::format("{}/positions: {} at row {} does not ascend", prompt.path(), positions[i], i));
    rows[i].input_id = input_ids[i];
    rows[i].position = positions[i];
    rows[i].chosen = chosen[i];
  }
  // Which passes computed them is not known of a record that another program wrote.
  if (prompt.has("forward")) read_forward(prompt.group("forward"), rows);
  return rows;
}

}  // namespace

h5::Handle create_prompts_group(hid_t root) {
  return h5::create_group(root, "prompts", "one group for each prompt, in the order of the prompts file");
}

void write_prompt(hid_t prompts, const PromptRecord& record, LogitsDataset* logits, int compression) {
  const Prompt& prompt = record.prompt;
  const auto group = h5::create_group(prompts, prompt.id, "one prompt; steps = recorded rows");
  h5::write_attribute(group, "index", prompt.index);
  h5::write_attribute(group, "source", prompt.source);
  h5::write_attribute(group, "status", record.status);
  h5::write_attribute(group, "stop", record.stop);
  h5::write_attribute(group, "hash", record.hash);
  h5::write_attribute(group, "device", record.device);
  h5::write_attribute(group, "replica", std::int64_t{record.replica});
  h5::write_attribute(group, "content",
                      content_hash(record, logits == nullptr ? "" : record.hash,
                                   record.hidden.words.empty() ? "" : sha256_hex(record.hidden.words)));
  h5::write_text(group, "text", prompt.text, "the prompt; empty where it was given as token ids");
  write_int32(group, "tokens", prompt.tokens, "the prompt as fed, special tokens included, [prompt length]");
  write_int32(group, "input_ids", column(record.rows, &Row::input_id), "token fed at each row, [steps]");
  write_int32(group, "positions", column(record.rows, &Row::position), "its 0-based position, [steps]");
  write_int32(group, "chosen", column(record.rows, &Row::chosen),
              "argmax of the row, lowest id at ties, [steps]");
  write_forward(group, record);
  if (record.top.k > 0) write_top(group, record.top, record.rows.size());
  if (!record.hidden.words.empty()) write_hidden(group, record.hidden, compression);
  if (!record.checksums.empty()) write_checksums(group, record.checksums);
  if (!record.sketches.empty()) write_sketches(group, record.sketches);
  if (!record.routes.empty()) write_routes(group, record.routes, compression);
  if (logits != nullptr) logits->link(group);
}

PromptRecord read_prompt(const h5::Group& prompts, const std::string& id, const LogitsShape& shape) {
  const auto group = prompts.group(id);
  PromptRecord record;
  record.prompt.id = id;
  record.prompt.index = group.integer("index");
  record.prompt.source = group.text_or("source", "tokens");
  if (group.has("text")) {
    const auto text = group.read_texts("text");
    if (text.size() != 1) throw h5::Hdf5Error(group.path() + "/text: is not one text");
    record.prompt.text = text.front();
  }
  record.prompt.tokens = group.read_int32("tokens");
  check_tokens(record.prompt.tokens, shape.vocabulary, group.path() + "/tokens");
  record.status = group.text_or("status", "complete");
  record.stop = group.text_or("stop", "");
  record.hash = group.text_or("hash", "");
  record.content = group.text_or("content", "");
  record.device = group.text_or("device", "");
  record.replica = static_cast<int>(group.integer_or("replica", 0));
  record.rows = read_rows(group, shape.vocabulary);
  if (group.has("forward")) {
    record.prefilled_with = read_together(group.group("forward"), "prefill_prompts", id);
    record.decoded_with = read_together(group.group("forward"), "decode_prompts", id);
  }
  if (group.has("top")) record.top = read_top(group.group("top"), record.rows.size(), shape.vocabulary);
  open_logits(group, shape, record.rows.size());
  if (const auto hidden = open_hidden(group, record.rows.size())) {
    record.hidden.streams = static_cast<std::int64_t>(hidden->words.dims()[0]);
    record.hidden.width = static_cast<std::int64_t>(hidden->words.dims()[2]);
    record.hidden.dtype = hidden->dtype;
  }
  if (group.has("checksums")) record.checksums = read_checksums(group.group("checksums"), record.rows.size());
  if (group.has("sketches"))
    record.sketches = read_sketches(group.group("sketches"), record.rows.size(), false);
  if (group.has("routes")) record.routes = read_routes(group.group("routes"), fed_tokens(record));
  return record;
}

std::optional<h5::Dataset> open_logits(const h5::Group& prompt, const LogitsShape& shape,
                                       std::optional<std::uint64_t> steps) {
  if (!prompt.has("logits")) return std::nullopt;
  auto logits = prompt.dataset("logits");
  if (logits.dims().size() != 2)
    throw h5::Hdf5Error(fmt::format("{}: has {} dimensions, not 2", logits.path(), logits.dims().size()));
  logits.require_dims({steps.value_or(logits.dims()[0]), static_cast<hsize_t>(shape.vocabulary)});
  logits.require_type(h5::float_type(shape.dtype), std::string(name_of(shape.dtype)).c_str());
  logits.require_stored();
  return logits;
}

}  // namespace shardrift::record
