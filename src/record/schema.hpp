// The groups of schema 1 (docs/file-format.md): what is written where, and read back. Private to src/record.
// All throw h5::Hdf5Error naming the object.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "record/hdf5_read.hpp"
#include "record/numerics.hpp"
#include "record/record.hpp"
#include "record/writer.hpp"

namespace shardrift::record {

// Root attributes, /environment and /model. status: complete | partial.
void write_run(hid_t root, const RunInfo& run, const std::string& status);
RunInfo read_run(const h5::Group& root);
// Throws where this is no record, or one of a newer major schema.
void check_schema(const h5::Group& root);
void write_schema(hid_t root);
// What a part says of the run it is of: schema, resume_key, /numerics (absent in older parts).
void write_part_of(hid_t root, const std::string& resume_key, const Numerics& numerics);
std::optional<Numerics> read_part_numerics(const h5::Group& root);
void write_timing(hid_t root, const RunTiming& timing);
RunTiming read_timing(const h5::Group& root);  // zeros where there is none (parts)

void write_environment(hid_t root, const Environment& environment);
Environment read_environment(const h5::Group& group);
// /environment/collectives; absent where there are none, as in older files.
void write_collectives(hid_t environment, const std::vector<CollectiveInfo>& collectives);
std::vector<CollectiveInfo> read_collectives(const h5::Group& environment);

// One field of all rows.
template <typename Value>
std::vector<Value> column(const std::vector<Row>& rows, Value Row::*field) {
  std::vector<Value> values;
  values.reserve(rows.size());
  for (const Row& row : rows) values.push_back(row.*field);
  return values;
}

h5::Handle create_prompts_group(hid_t root);
// What a prompt's datasets have to agree with.
struct LogitsShape {
  DType dtype = DType::float32;
  std::int64_t vocabulary = 0;
};
class LogitsDataset;
// logits: nullptr where they are not kept; they become the prompt's.
void write_prompt(hid_t prompts, const PromptRecord& record, LogitsDataset* logits, int compression);
PromptRecord read_prompt(const h5::Group& prompts, const std::string& id,
                         const LogitsShape& shape);  // but the logits
// The logits of `steps` rows; nullopt where they were not recorded.
std::optional<h5::Dataset> open_logits(const h5::Group& prompt, const LogitsShape& shape,
                                       std::optional<std::uint64_t> steps);

// What a pass computed on the way (levels beyond the logits); each absent where it was not recorded.
void write_hidden(hid_t prompt, const Hidden& hidden, int compression);
void write_checksums(hid_t prompt, const Checksums& checksums);
struct HiddenDataset {
  h5::Dataset words;  // [streams, steps, width]
  DType dtype = DType::float32;
};
std::optional<HiddenDataset> open_hidden(const h5::Group& prompt, std::optional<std::uint64_t> steps);
Checksums read_checksums(const h5::Group& checksums, std::uint64_t steps);
void write_sketches(hid_t prompt, const Sketches& sketches);
// values: read, or left out.
Sketches read_sketches(const h5::Group& sketches, std::uint64_t steps, bool values);
// Tokens that were fed for this prompt: routes are of all of them.
std::int64_t fed_tokens(const PromptRecord& record);
void write_routes(hid_t prompt, const Routes& routes, int compression);
Routes read_routes(const h5::Group& routes, std::int64_t positions);
// What is wrong with these values; empty: nothing.
std::string fault_in(const Routes& routes);

}  // namespace shardrift::record
