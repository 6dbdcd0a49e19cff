// The tables of fields of what a record says about its run: their attributes in HDF5 (schema 1), in this
// order, inspect's JSON, and the differences that compare and explain list. A new field is a member in
// record.hpp and a row here, Since::later where older files lack it.
#pragma once
#include "common/field_table.hpp"
#include "record/record.hpp"

namespace shardrift::record {

// Whether two runs that differ in it are told so.
enum class Compared { no, yes };

template <typename Access>
struct RecordField {
  std::string_view key;
  Access access;
  Compared compared = Compared::no;
  Since since = Since::first;
};
template <typename Access, typename... More>
RecordField(std::string_view, Access, More...) -> RecordField<Access>;

constexpr auto fields_of(std::type_identity<RunInfo>) {
  using enum Compared;
  return std::tuple{
      RecordField{"created", &RunInfo::created},
      RecordField{"command", &RunInfo::command},
      RecordField{"version", &RunInfo::version, yes},
      RecordField{"plan", &RunInfo::plan},  // compared field by field
      RecordField{"mode", &RunInfo::mode, yes},
      RecordField{"level", &RunInfo::level, yes},
      RecordField{"prompts_hash", &RunInfo::prompts_hash},
      RecordField{"resume_key", &RunInfo::resume_key},
      RecordField{"logits_dtype", &RunInfo::logits_dtype, yes},
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
      RecordField{"weights", &ModelInfo::weights, yes, Since::later},
      RecordField{"generation_config", &ModelInfo::generation_config, yes, Since::later},
      RecordField{"tokenizer", &ModelInfo::tokenizer, yes, Since::later},
      RecordField{"vocabulary", &ModelInfo::vocabulary},
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
  return std::tuple{
      RecordField{"operation", &CollectiveInfo::operation},
      RecordField{"count", &CollectiveInfo::count},
      RecordField{"dtype", &CollectiveInfo::dtype},
      RecordField{"ranks", &CollectiveInfo::ranks},
      RecordField{"library", &CollectiveInfo::library},
      RecordField{"version", &CollectiveInfo::version},
      RecordField{"algorithm", &CollectiveInfo::algorithm},
      RecordField{"protocol", &CollectiveInfo::protocol},
      RecordField{"channels", &CollectiveInfo::channels},
      RecordField{"rings", &CollectiveInfo::rings},
      RecordField{"source", &CollectiveInfo::source},
      RecordField{"captured", &CollectiveInfo::captured},
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
      RecordField{"recording_wait_seconds", &RunTiming::recording_wait_seconds, no, Since::later},
      RecordField{"recording_flush_seconds", &RunTiming::recording_flush_seconds, no, Since::later},
  };
}
static_assert(field_count<RunTiming>() == member_count<RunTiming>(),
              "a member of RunTiming has no row above");

}  // namespace shardrift::record
