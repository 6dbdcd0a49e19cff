// Which GPUs CUDA would show a process: nvidia-smi's list, read as CUDA reads CUDA_VISIBLE_DEVICES.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace shardrift::runner {

// A part of a GPU that is a device of its own.
struct MigInstance {
  std::string profile;  // "1g.10gb"
  std::string uuid;     // "MIG-…"
};

struct Card {
  std::string name;
  std::int64_t memory = 0;  // bytes
  std::string uuid;         // "GPU-…"
  std::vector<MigInstance> instances;
};

// table: nvidia-smi --query-gpu=index,name,memory.total,uuid --format=csv,noheader,nounits; listing:
// nvidia-smi -L, which alone names the instances. Cards are in the order of their PCI buses.
std::vector<Card> parse_cards(const std::string& table, const std::string& listing);

// CUDA numbers cards of several models fastest first, unless CUDA_DEVICE_ORDER=PCI_BUS_ID; alike ones by bus.
bool are_mixed(const std::vector<Card>& cards);
// By the UUIDs of its own list, a line each; nothing where that is no list of these cards.
std::optional<std::vector<Card>> in_order_of(const std::string& uuids, const std::vector<Card>& cards);

struct Gpu {
  std::string id;  // for CUDA_VISIBLE_DEVICES: as given there, else index or UUID
  std::string name;
  std::int64_t memory = 0;
};

struct VisibleGpus {
  std::vector<Gpu> gpus;
  std::string why_none;  // where there is none
};

// cards: in CUDA's order. visible: CUDA_VISIBLE_DEVICES; nullopt: not set. by_uuid: where it is not set, name
// the GPUs by UUID, as their numbers may not be what another program takes them for.
//   - What follows the first entry that is no device is not seen.
//   - A UUID may be cut short as long as it is one device's.
//   - A device listed twice: none is seen.
//   - A process sees one MIG instance at most, and a card that is cut into instances as the first of them.
VisibleGpus visible_gpus(const std::vector<Card>& cards, const std::optional<std::string>& visible,
                         bool by_uuid);

}  // namespace shardrift::runner
