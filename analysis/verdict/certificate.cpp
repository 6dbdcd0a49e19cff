#include "analysis/verdict/certificate.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <utility>

#include "analysis/verdict/thresholds_json.hpp"
#include "analysis/verdict/words.hpp"
#include "common/error.hpp"
#include "common/hash.hpp"
#include "common/json_file.hpp"
#include "common/system_reason.hpp"
#include "common/utc_clock.hpp"
#include "record/reader.hpp"

namespace shardrift::verdict {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kSchema = "shardrift certificate 1";
constexpr std::size_t kMaxBytes = std::size_t{64} << 20;  // a few kB a record and collective message
constexpr std::size_t kMaxRecords = 10000;
constexpr double kEqual = 1e-9;

Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

std::int64_t modified_of(const struct stat& status) {
  return std::int64_t{status.st_mtim.tv_sec} * 1000000000 + status.st_mtim.tv_nsec;
}

// In which order a collective added: its map as one hash, beside what names the library.
Json order_json(const record::CollectiveInfo& one) {
  std::string map;
  for (const auto& segment : one.segments)
    map += fmt::format("[{}, {}) {}\n", segment.begin, segment.end,
                       segment.tree >= 0 && segment.tree < static_cast<std::int64_t>(one.trees.size())
                           ? one.trees[static_cast<std::size_t>(segment.tree)]
                           : "?");
  return {{"operation", one.operation}, {"count", one.count},     {"dtype", one.dtype},
          {"ranks", one.ranks},         {"library", one.library}, {"version", one.version},
          {"algorithm", one.algorithm}, {"source", one.source},   {"order", sha256_hex(map)}};
}

Json record_json(Evident role, const HashedFile& file, const std::string& name) {
  const auto reader = record::Reader::open(file.path);
  const auto& run = reader.run();
  Json libraries = Json::object();
  for (const auto& [library, version] : run.environment.libraries) libraries[library] = version;
  Json orders = Json::array();
  for (const auto& one : run.environment.collectives) orders.push_back(order_json(one));
  return {{"role", name_of(role)},
          {"file", name},
          {"bytes", file.bytes},
          {"sha256", file.sha256},
          {"created", run.created},
          {"version", run.version},
          {"plan", run.plan},
          {"mode", run.mode},
          {"weights", run.model.weights},
          {"prompts", run.prompts_hash},
          {"libraries", libraries},
          {"order_maps", orders}};
}

// What is compared again: no names, which come from the files' own.
Json outcome_json(const Verdict& verdict) {
  Json candidates = Json::array();
  for (const auto& c : verdict.candidates) {
    Json limits = Json::object();
    for (const auto& one : c.criteria)
      limits[one.limit.kind->name] = {{"state", name_of(one.state)},
                                      {"value", number(one.estimate.value)},
                                      {"low", number(one.estimate.interval.low)},
                                      {"high", number(one.estimate.interval.high)},
                                      {"noise_floor", one.floor ? number(*one.floor) : Json()}};
    candidates.push_back({{"plan", c.plan},
                          {"state", name_of(c.state)},
                          {"bit_equal", c.bit_equal},
                          {"prompts", c.statistics.prompts},
                          {"rows", c.statistics.rows},
                          {"flips", c.statistics.flips()},
                          {"limits", limits}});
  }
  return {{"state", name_of(verdict.state)}, {"exit_code", exit_code(verdict)}, {"candidates", candidates}};
}

// Over everything else, keys sorted, without blanks: any JSON library can do it again.
std::string content_hash(nlohmann::json json) {
  json.erase("sha256");
  return sha256_hex(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

bool same_number(double a, double b) {
  return a == b || std::abs(a - b) <= kEqual * std::max(std::abs(a), std::abs(b));
}

std::string first_difference(const nlohmann::json& kept, const nlohmann::json& now,
                             const std::string& where) {
  if (kept.is_number() && now.is_number() && same_number(kept.get<double>(), now.get<double>())) return {};
  if (kept.is_object() && now.is_object()) {
    for (const auto& [key, value] : now.items()) {
      const std::string below = where.empty() ? key : where + " " + key;
      if (!kept.contains(key)) return fmt::format("{} was not there", below);
      if (auto found = first_difference(kept.at(key), value, below); !found.empty()) return found;
    }
    for (const auto& [key, value] : kept.items())
      if (!now.contains(key)) return fmt::format("{} {} is not there any more", where, key);
    return {};
  }
  if (kept.is_array() && now.is_array() && kept.size() == now.size()) {
    for (std::size_t i = 0; i < kept.size(); ++i)
      if (auto found = first_difference(kept[i], now[i], fmt::format("{}[{}]", where, i)); !found.empty())
        return found;
    return {};
  }
  if (kept == now) return {};
  return fmt::format("{} was {} and is {}", where, shown(kept), shown(now));
}

bool is_hash(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string hash_in(const JsonObject& object, const char* key) {
  auto text = object.text(key);
  if (!is_hash(text))
    throw object.wrong(key, object.required(key), "a SHA-256 of 64 lower-case digits is expected");
  return text;
}

// The answer, by the names that the files had when it was certified; whatever their folders were.
std::string answer_by_names(const EvidentFiles& files, const std::vector<std::string>& names,
                            Verdict verdict) {
  std::map<std::string, int> uses;
  auto candidate = verdict.candidates.begin();
  auto yardstick = verdict.yardsticks.begin();
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto name = fs::path(names[i]).stem().string();
    if (files[i].first == Evident::yardstick && yardstick != verdict.yardsticks.end()) *yardstick++ = name;
    if (files[i].first != Evident::candidate || candidate == verdict.candidates.end()) continue;
    candidate->name = name;
    if (const int use = ++uses[candidate->name]; use > 1) candidate->name += fmt::format(" ({})", use);
    ++candidate;
  }
  return answer_of(verdict);
}

// Everything but the hash. names: of the files.
Json content_json(const EvidentFiles& files, const std::vector<std::string>& names, const Verdict& verdict,
                  const std::string& created, std::string_view version) {
  Json records = Json::array();
  for (std::size_t i = 0; i < files.size(); ++i)
    records.push_back(record_json(files[i].first, files[i].second, names[i]));
  const Json json{{"schema", kSchema},
                  {"created", created},
                  {"version", version},
                  {"answer", answer_by_names(files, names, verdict)},
                  {"verdict", outcome_json(verdict)},
                  {"thresholds", thresholds_json(verdict.thresholds)},
                  {"records", records}};
  // As it will be read: names of files may be no UTF-8.
  return Json::parse(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

// A preset's name stands for its limits: whoever reads it looks no further.
void require_preset(const Certificate& certificate) {
  constexpr std::string_view kPreset = "preset ";
  const std::string& source = certificate.thresholds.source;
  if (!source.starts_with(kPreset)) return;
  const auto name = source.substr(kPreset.size());
  std::string other;
  try {
    other = difference_of_limits(certificate.thresholds, preset(name));
  } catch (const Error& error) {
    throw bad_data("{}: thresholds source: {}", certificate.path.string(), error.what());
  }
  if (!other.empty())
    throw bad_data("{}: says preset {}, has other limits: {}", certificate.path.string(), name, other);
}

void refuse_unfinished(const fs::path& path) {
  std::error_code ignored;
  const fs::path parts = path.string() + ".parts";
  if (fs::is_directory(parts, ignored))
    throw bad_data("{}: is not finished, there is only {}: a certificate is of finished records",
                   path.string(), parts.string());
}

}  // namespace

bool HashedFile::unchanged() const {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && std::int64_t{status.st_size} == bytes &&
         modified_of(status) == modified;
}

HashedFile hash_file(const fs::path& path) {
  const int descriptor =
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe is refused, not awaited
  if (descriptor < 0) {
    const int error = errno;
    if (error == ENOENT) refuse_unfinished(path);
    throw bad_data("{}: cannot be read: {}", path.string(), system_reason(error));
  }
  struct stat status {};
  const bool regular = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  HashedFile file{path, std::int64_t{status.st_size}, modified_of(status), {}};
  Sha256 hash;
  std::vector<char> block(std::size_t{1} << 20);
  ssize_t got = regular ? 1 : 0;
  while (got > 0) {
    got = ::read(descriptor, block.data(), block.size());
    if (got > 0) hash.update(block.data(), static_cast<std::size_t>(got));
  }
  const int error = errno;
  ::close(descriptor);
  if (!regular) throw bad_data("{}: is no finished record: a certificate is of files OUT.h5", path.string());
  if (got < 0) throw bad_data("{}: cannot be read: {}", path.string(), system_reason(error));
  file.sha256 = hash.hex();
  return file;
}

std::string certificate_json(const EvidentFiles& files, const Verdict& verdict, std::string_view version) {
  std::vector<std::string> names;
  for (const auto& [role, file] : files) names.push_back(file.path.filename().string());
  Json json = content_json(files, names, verdict, utc_now(), version);
  json["sha256"] = content_hash(nlohmann::json::parse(json.dump()));
  return json.dump(1) + "\n";
}

Certificate read_certificate(const fs::path& path) {
  return certificate_from_text(read_text_file(path, kMaxBytes), path);
}

Certificate certificate_from_text(std::string_view text, const fs::path& path) {
  const auto json = parse_json_object(text, path.string());
  const JsonObject root(json, path.string());
  if (const auto schema = root.text("schema"); schema != kSchema)
    throw root.wrong("schema", json.at("schema"), fmt::format("this program reads \"{}\"", kSchema));
  const auto said = hash_in(root, "sha256");
  if (const auto is = content_hash(json); is != said)
    throw bad_data("{}: was edited: its content has the SHA-256 {}, it says {}", path.string(), is, said);
  Certificate certificate;
  certificate.path = path;
  certificate.content = json;
  certificate.content.erase("sha256");
  certificate.created = root.text("created");
  certificate.version = root.text("version");
  certificate.thresholds = thresholds_from_json(root.required_object("thresholds"));
  require_preset(certificate);
  root.required_object("verdict");
  root.list("records", 2, kMaxRecords);
  std::map<Evident, int> counts;
  for (const auto& one : root.objects("records")) {
    certificate.records.push_back({one.choice<Evident>("role"), one.text("file"), hash_in(one, "sha256")});
    ++counts[certificate.records.back().role];
  }
  if (counts[Evident::reference] != 1 || counts[Evident::candidate] < 1 || counts[Evident::truth] > 1)
    throw bad_data("{}: records: one reference, a candidate or more and at most one truth are expected",
                   path.string());
  return certificate;
}

std::string difference(const Certificate& certificate, const EvidentFiles& files, const Verdict& verdict) {
  std::vector<std::string> names;
  for (const auto& record : certificate.records) names.push_back(record.file);
  const auto now = nlohmann::json::parse(
      content_json(files, names, verdict, certificate.created, certificate.version).dump());
  // What was judged says more than the words about it.
  for (const char* key : {"verdict", "records"})
    if (auto found = first_difference(certificate.content.at(key), now.at(key), key); !found.empty())
      return found;
  return first_difference(certificate.content, now, "");
}

std::string difference_of_limits(const Thresholds& certified, const Thresholds& wanted) {
  const auto plain = [](Thresholds thresholds) {
    thresholds.source.clear();
    return nlohmann::json::parse(thresholds_json(thresholds).dump());
  };
  return first_difference(plain(certified), plain(wanted), "");
}

}  // namespace shardrift::verdict
