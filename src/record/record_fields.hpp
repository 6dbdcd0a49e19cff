// The tables of fields of what a record says about its run: their attributes in HDF5 (schema 1), in this
// order, inspect's JSON, and the differences that compare and explain list. A new field is a member in
// record.hpp and a row here.
#pragma once
#include "common/field_table.hpp"
#include "record/record.hpp"

namespace shardrift::record {

// Whether two runs that differ in it are told so.
enum class Compared { no, yes };

// Whether a record can be read without it. Of the others older files lack some, and files of other programs
// (docs/file-format.md, "A record of your own") as many as their writers did not know: they keep the value
// they are initialized with.
enum class Needed { no, yes };

template <typename Access>
struct RecordField {
  std::string_view key;
  Access access;
  Compared compared = Compared::no;
  Needed needed = Needed::no;
};
template <typename Access, typename... More>
RecordField(std::string_view, Access, More...) -> RecordField<Access>;

constexpr auto fields_of(std::type_identity<RunInfo>) {
  using enum Compared;
  return std::tuple{
      RecordField{"created", &RunInfo::created},
      RecordField{"command", &RunInfo::command},
      RecordField{"version", &RunInfo::version, yes},
      RecordField{"plan", &RunInfo::plan, no, Needed::yes},  // compared field by field
      RecordField{"mode", &RunInfo::mode, yes, Needed::yes},
      RecordField{"level", &RunInfo::level, yes, Needed::yes},
      RecordField{"prompts_hash", &RunInfo::prompts_hash},
      RecordField{"resume_key", &RunInfo::resume_key},
      RecordField{"logits_dtype", &RunInfo::logits_dtype, yes, Needed::yes},
  };
}
// environment and model are groups.
static_assert(field_count<RunInfo>() == member_count<RunInfo>() - 2, "a member of RunInfo has no row above");

constexpr auto fields_of(std::type_identity<ModelInfo>) {
  using enum Compared;
  return std::tuple{
      RecordField{"architecture", &ModelInfo::architecture, yes},
      RecordField{"dtype", &ModelInfo::dtype, yes},
      RecordField{"quantization", &ModelInfo::quantization, yes},
      RecordField{"config", &ModelInfo::config},  // the identity says whether it differs
      RecordField{"identity", &ModelInfo::identity, yes},
      RecordField{"weights", &ModelInfo::weights, yes},
      RecordField{"generation_config", &ModelInfo::generation_config, yes},
      RecordField{"tokenizer", &ModelInfo::tokenizer, yes},
      RecordField{"vocabulary", &ModelInfo::vocabulary, no, Needed::yes},
  };
}
// vocab is a dataset.
static_assert(field_count<ModelInfo>() == member_count<ModelInfo>() - 1,
              "a member of ModelInfo has no row above");

constexpr auto fields_of(std::type_identity<DeviceInfo>) {
  using enum Compared;
  return std::tuple{
      RecordField{"rank", &DeviceInfo::rank},
      RecordField{"host", &DeviceInfo::host, yes},
      RecordField{"name", &DeviceInfo::name, yes},
      RecordField{"uuid", &DeviceInfo::uuid, yes},
      RecordField{"compute_capability", &DeviceInfo::compute_capability, yes},
      RecordField{"driver", &DeviceInfo::driver, yes},
  };
}
static_assert(field_count<DeviceInfo>() == member_count<DeviceInfo>(),
              "a member of DeviceInfo has no row above");

constexpr auto fields_of(std::type_identity<CollectiveInfo>) {
  using enum Compared;
  return std::tuple{
      RecordField{"operation", &CollectiveInfo::operation, no, Needed::yes},
      RecordField{"count", &CollectiveInfo::count, no, Needed::yes},
      RecordField{"dtype", &CollectiveInfo::dtype, no, Needed::yes},
      RecordField{"ranks", &CollectiveInfo::ranks, no, Needed::yes},
      RecordField{"library", &CollectiveInfo::library, no, Needed::yes},
      RecordField{"version", &CollectiveInfo::version, no, Needed::yes},
      RecordField{"algorithm", &CollectiveInfo::algorithm, no, Needed::yes},
      RecordField{"protocol", &CollectiveInfo::protocol, no, Needed::yes},
      RecordField{"channels", &CollectiveInfo::channels, no, Needed::yes},
      RecordField{"rings", &CollectiveInfo::rings, no, Needed::yes},
      RecordField{"source", &CollectiveInfo::source, no, Needed::yes},
      RecordField{"captured", &CollectiveInfo::captured, no, Needed::yes},
  };
}
// segments and trees are datasets.
static_assert(field_count<CollectiveInfo>() == member_count<CollectiveInfo>() - 2,
              "a member of CollectiveInfo has no row above");

constexpr auto fields_of(std::type_identity<RunTiming>) {
  using enum Compared;
  return std::tuple{
      RecordField{"load_seconds", &RunTiming::load_seconds},
      RecordField{"prefill_seconds", &RunTiming::prefill_seconds},
      RecordField{"decode_seconds", &RunTiming::decode_seconds},
      RecordField{"prefill_tokens", &RunTiming::prefill_tokens},
      RecordField{"decode_tokens", &RunTiming::decode_tokens},
      RecordField{"recording_wait_seconds", &RunTiming::recording_wait_seconds},
      RecordField{"recording_flush_seconds", &RunTiming::recording_flush_seconds},
  };
}
static_assert(field_count<RunTiming>() == member_count<RunTiming>(),
              "a member of RunTiming has no row above");

}  // namespace shardrift::record
