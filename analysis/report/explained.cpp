#include "analysis/report/explained.hpp"

#include <system_error>

#include "analysis/explain/explain_runs.hpp"
#include "analysis/explain/ladder.hpp"
#include "common/error.hpp"
#include "common/json_file.hpp"

namespace shardrift::report {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxBytes = std::size_t{16} << 20;
constexpr std::size_t kMaxRungs = 64;

const nlohmann::json& required(const nlohmann::json& object, const char* key, const std::string& where) {
  const auto* value = object.is_object() ? member(object, key) : nullptr;
  if (value == nullptr)
    throw bad_data("{}: key \"{}\" is missing: is it what explain --json wrote?", where, key);
  return *value;
}

std::string text_of(const nlohmann::json& object, const char* key, const std::string& where) {
  const auto& value = required(object, key, where);
  if (!value.is_string())
    throw bad_data("{}: key \"{}\": a text is expected, found {}", where, key, shown(value));
  return value.get<std::string>();
}

double share_of(const nlohmann::json& rung, const std::string& where) {
  const auto* value = member(rung, "share");
  if (value == nullptr) return analysis::kNoValue;
  if (!value->is_number())
    throw bad_data("{}: key \"share\": a number is expected, found {}", where, shown(*value));
  return value->get<double>();
}

std::optional<std::int64_t> residue_bits(const nlohmann::json& ladder, const std::string& where) {
  const auto* residue = member(ladder, "residue");
  if (residue == nullptr) return std::nullopt;
  const auto& bits = required(*residue, "bits", where);
  if (!bits.is_number_integer())
    throw bad_data("{}: key \"bits\": a number is expected, found {}", where, shown(bits));
  return bits.get<std::int64_t>();
}

std::string residue_text(std::optional<std::int64_t> bits) {
  if (!bits) return "not known: no run on several devices was among the rungs";
  return *bits == 0 ? "0 bits: explained completely" : fmt::format("{} bits", *bits);
}

Rung rung_of(const std::string& name, double share) {
  Rung rung;
  rung.name = name;
  if (const auto kind = from_name<analysis::RungKind>(name)) rung.meaning = analysis::changes(*kind);
  rung.share = share;
  return rung;
}

// The run whose record that is, by path or as the same file.
std::optional<std::size_t> run_of(const std::string& record, const std::vector<Run>& runs) {
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const auto& path = runs[i].measurement.candidate.path;
    std::error_code ignored;
    if (path == record || fs::equivalent(path, record, ignored)) return i;
  }
  return std::nullopt;
}

}  // namespace

std::vector<CurvePoint> growth_through_layers(const record::Reader& reference,
                                              const record::Reader& candidate) {
  std::vector<CurvePoint> layers;
  for (const auto& stream : analysis::stream_growth(reference, candidate))
    layers.push_back(
        {static_cast<double>(stream.stream), stream.row_median, stream.row_low, stream.row_high});
  return layers;
}

Ladder drawn(const analysis::Ladder& ladder, std::size_t run) {
  Ladder out;
  out.run = run;
  for (std::size_t i = 1; i < ladder.rungs.size(); ++i)  // the first is the reference: nothing changed yet
    out.rungs.push_back(rung_of(ladder.rungs[i].name, ladder.rungs[i].share));
  const auto* residue = ladder.residue();
  out.residue = residue_text(residue == nullptr ? std::nullopt : std::optional(residue->bits));
  return out;
}

Ladder read_ladder(const fs::path& path, const std::vector<Run>& runs) {
  const std::string where = path.string();
  const auto json = parse_json_object(read_text_file(path, kMaxBytes), where);
  if (text_of(json, "schema", where) != "shardrift explain ladder 1")
    throw bad_data("{}: is no ladder of shardrift explain", where);
  const auto& rungs = required(json, "rungs", where);
  if (!rungs.is_array() || rungs.size() < 2 || rungs.size() > kMaxRungs)
    throw bad_data("{}: key \"rungs\": 2 to {} rungs are expected", where, kMaxRungs);
  Ladder ladder;
  for (const auto& one : rungs)
    ladder.rungs.push_back(rung_of(text_of(one, "name", where), share_of(one, where)));
  ladder.rungs.erase(ladder.rungs.begin());  // the reference: nothing changed yet
  ladder.residue = residue_text(residue_bits(json, where));
  const std::string record = text_of(required(rungs.back(), "run", where), "path", where);
  const auto run = run_of(record, runs);
  if (!run) throw usage_error("--ladder {}: explains {}, which is none of this report's runs", where, record);
  ladder.run = *run;
  return ladder;
}

}  // namespace shardrift::report
