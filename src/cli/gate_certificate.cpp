#include "cli/gate_certificate.hpp"

#include <algorithm>
#include <filesystem>

#include "common/error.hpp"

namespace shardrift::cli {
namespace {

using verdict::Evident;

struct Given {
  verdict::HashedFile file;
  bool used = false;
};

std::string name_of_file(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

// The file of this name, where there is one, was changed.
Error not_among(const verdict::Certificate& certificate, const verdict::CertifiedRecord& record,
                const std::vector<Given>& files) {
  for (const auto& one : files)
    if (name_of_file(one.file.path) == record.file)
      return bad_data("{}: is not the {} that {} is of: its SHA-256 is {}, it was {}", one.file.path.string(),
                      name_of(record.role), certificate.path.string(), one.file.sha256, record.sha256);
  return bad_data("{}: its {} {} (SHA-256 {}) is not among the files given", certificate.path.string(),
                  name_of(record.role), record.file, record.sha256);
}

// Of several with one content the one that was called so, or one that has no role yet.
Given& file_of(const verdict::Certificate& certificate, const verdict::CertifiedRecord& record,
               std::vector<Given>& files) {
  Given* best = nullptr;
  const auto fits = [&](const Given& one) {
    return std::pair(name_of_file(one.file.path) == record.file, !one.used);
  };
  for (auto& one : files)
    if (one.file.sha256 == record.sha256 && (best == nullptr || fits(one) > fits(*best))) best = &one;
  if (best == nullptr) throw not_among(certificate, record, files);
  return *best;
}

}  // namespace

EvidentFiles hashed(const EvidenceFlags& flags) {
  EvidentFiles files;
  const auto add = [&](Evident role, const std::string& file) {
    files.emplace_back(role, verdict::hash_file(file));
  };
  for (const auto& file : flags.files) add(files.empty() ? Evident::reference : Evident::candidate, file);
  for (const auto& file : flags.noise_floors) add(Evident::noise_floor, file);
  for (const auto& file : flags.yardsticks) add(Evident::yardstick, file);
  if (!flags.truth.empty()) add(Evident::truth, flags.truth);
  return files;
}

EvidentFiles in_their_roles(const verdict::Certificate& certificate, const EvidenceFlags& given) {
  std::vector<Given> files;
  for (auto& [role, file] : hashed(given)) files.push_back({std::move(file)});
  EvidentFiles found;
  for (const auto& record : certificate.records) {
    Given& one = file_of(certificate, record, files);
    one.used = true;
    found.emplace_back(record.role, one.file);
  }
  for (const auto& one : files)
    if (std::none_of(certificate.records.begin(), certificate.records.end(),
                     [&](const auto& record) { return record.sha256 == one.file.sha256; }))
      throw bad_data("{}: {} is not of this file (SHA-256 {})", one.file.path.string(),
                     certificate.path.string(), one.file.sha256);
  return found;
}

EvidenceFlags flags_of(const EvidentFiles& files) {
  EvidenceFlags flags;
  for (const auto& [role, file] : files) {
    const std::string path = file.path.string();
    switch (role) {
      case Evident::reference:
        flags.files.insert(flags.files.begin(), path);
        break;
      case Evident::candidate:
        flags.files.push_back(path);
        break;
      case Evident::noise_floor:
        flags.noise_floors.push_back(path);
        break;
      case Evident::yardstick:
        flags.yardsticks.push_back(path);
        break;
      case Evident::truth:
        flags.truth = path;
        break;
    }
  }
  return flags;
}

void require_unchanged(const EvidentFiles& files) {
  for (const auto& [role, file] : files)
    if (!file.unchanged())
      throw failure("{}: changed while it was judged: give the command again", file.path.string());
}

}  // namespace shardrift::cli
