#include "experiments/runner/visible_gpus.hpp"

#include <algorithm>
#include <regex>
#include <set>

#include "common/error.hpp"
#include "common/text.hpp"

namespace shardrift::runner {
namespace {

// One thing that CUDA may show: a card, or an instance of one.
struct Device {
  std::string uuid;
  bool is_instance = false;
  Gpu gpu;
};

Device device_of(const Card& card) {
  if (card.instances.empty()) return {card.uuid, false, {card.uuid, card.name, card.memory}};
  const auto& first = card.instances.front();
  Device device{
      first.uuid, true, {first.uuid, fmt::format("{} MIG {}", card.name, first.profile), card.memory}};
  // "1g.10gb", "1c.3g.20gb+me": what it has of the card's memory.
  static const std::regex kMemory(R"((\d+)gb)");
  if (std::smatch match; std::regex_search(first.profile, match, kMemory))
    device.gpu.memory = number_from<std::int64_t>(match[1].str()).value_or(0) << 30U;
  return device;
}

// A card as one of its instances.
Card cut_to(const Card& card, const MigInstance& instance) {
  Card one = card;
  one.instances = {instance};
  return one;
}

// The one device that an entry means; nullopt: none, or it could be several.
std::optional<Device> meant_by(const std::string& entry, const std::vector<Card>& cards) {
  if (const auto index = number_from<std::size_t>(entry))
    return *index < cards.size() ? std::optional(device_of(cards[*index])) : std::nullopt;
  std::vector<Device> found;
  for (const auto& card : cards) {
    if (entry.starts_with("GPU-") && card.uuid.starts_with(entry)) found.push_back(device_of(card));
    for (const auto& instance : card.instances)
      if (entry.starts_with("MIG-") && instance.uuid.starts_with(entry))
        found.push_back(device_of(cut_to(card, instance)));
  }
  return found.size() == 1 ? std::optional(found.front()) : std::nullopt;
}

// Of several instances, and cards cut into them, a process gets one; whole cards go before.
void keep_what_one_process_sees(std::vector<Device>& devices) {
  const auto is_whole = [](const Device& device) { return !device.is_instance; };
  if (std::all_of(devices.begin(), devices.end(), is_whole)) return;
  if (std::any_of(devices.begin(), devices.end(), is_whole))
    std::erase_if(devices, [](const Device& device) { return device.is_instance; });
  else
    devices.resize(1);
}

VisibleGpus seen(std::vector<Device> devices) {
  keep_what_one_process_sees(devices);
  VisibleGpus visible;
  for (auto& device : devices) visible.gpus.push_back(std::move(device.gpu));
  return visible;
}

}  // namespace

std::vector<Card> parse_cards(const std::string& table, const std::string& listing) {
  std::vector<Card> cards;
  for (const auto& line : split_words(table, '\n')) {
    const auto fields = split_words(line, ',');
    if (fields.size() < 4) continue;
    cards.push_back({fields[1], number_from<std::int64_t>(fields[2]).value_or(0) << 20U, fields[3], {}});
  }
  // GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-…)
  //   MIG 1g.10gb     Device  0: (UUID: MIG-…)
  static const std::regex kCard(R"(^GPU \d+: .*\(UUID: (GPU-[^)]+)\))");
  static const std::regex kInstance(R"(^\s*MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[^)]+)\))");
  Card* card = nullptr;
  for (const auto& line : split(listing, '\n')) {
    std::smatch match;
    if (std::regex_search(line, match, kCard)) {
      const auto found =
          std::find_if(cards.begin(), cards.end(), [&](const Card& one) { return one.uuid == match[1]; });
      card = found == cards.end() ? nullptr : &*found;
    } else if (card != nullptr && std::regex_search(line, match, kInstance)) {
      card->instances.push_back({match[1], match[2]});
    }
  }
  return cards;
}

bool are_mixed(const std::vector<Card>& cards) {
  return std::any_of(cards.begin(), cards.end(),
                     [&](const Card& card) { return card.name != cards.front().name; });
}

std::optional<std::vector<Card>> in_order_of(const std::string& uuids, const std::vector<Card>& cards) {
  std::vector<Card> ordered;
  for (const auto& uuid : split_words(uuids, '\n')) {
    const auto found =
        std::find_if(cards.begin(), cards.end(), [&](const Card& card) { return card.uuid == uuid; });
    if (found == cards.end()) return std::nullopt;
    ordered.push_back(*found);
  }
  if (ordered.size() != cards.size()) return std::nullopt;
  return ordered;
}

VisibleGpus visible_gpus(const std::vector<Card>& cards, const std::optional<std::string>& visible,
                         bool by_uuid) {
  if (cards.empty()) return {{}, "no GPU found"};
  std::vector<Device> devices;
  if (!visible) {
    for (std::size_t i = 0; i < cards.size(); ++i) {
      devices.push_back(device_of(cards[i]));
      if (!by_uuid && !devices.back().is_instance) devices.back().gpu.id = std::to_string(i);
    }
    return seen(std::move(devices));
  }
  std::set<std::string> listed;
  for (const auto& part : split(*visible, ',')) {
    const std::string entry(trimmed(part));
    auto device = meant_by(entry, cards);
    if (!device) break;
    if (!listed.insert(device->uuid).second)
      return {
          {},
          fmt::format("no GPU: CUDA_VISIBLE_DEVICES={} lists one twice, and CUDA then sees none", *visible)};
    device->gpu.id = entry;
    devices.push_back(std::move(*device));
  }
  if (devices.empty()) return {{}, fmt::format("no GPU found that CUDA_VISIBLE_DEVICES={} means", *visible)};
  return seen(std::move(devices));
}

}  // namespace shardrift::runner
