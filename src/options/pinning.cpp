#include "options/pinning.hpp"

#include <optional>

#include "common/error.hpp"
#include "common/field_text.hpp"
#include "common/flag_field.hpp"
#include "common/text.hpp"

namespace shardrift {
namespace {

constexpr std::string_view kAutomatic = "auto";

// The last value given, as Boost.Program_options would take it; nullopt where the flag is absent.
std::optional<std::string> value_of(const std::vector<std::string>& arguments, const std::string& flag) {
  std::optional<std::string> value;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == flag && i + 1 < arguments.size()) value = arguments[i + 1];
    if (arguments[i].starts_with(flag + "=")) value = arguments[i].substr(flag.size() + 1);
  }
  return value;
}

}  // namespace

std::string text_of(PinnedChannels channels) {
  return channels.count == 0 ? std::string(kAutomatic) : std::to_string(channels.count);
}

void read_text(std::string_view flag, const std::string& text, PinnedChannels& channels) {
  channels = {};
  if (text == kAutomatic) return;
  const auto count = number_from<int>(text);
  if (!count || *count < 1 || *count > 64) throw usage_error("{} {}: use auto or 1 to 64", flag, text);
  channels.count = *count;
}

NcclPins Pinning::nccl() const {
  NcclPins pins;
  pins.algorithm = from_name<NcclAlgorithm>(name_of(nccl_algorithm));
  pins.protocol = from_name<NcclProtocol>(name_of(nccl_protocol));
  if (nccl_channels.count > 0) pins.channels = nccl_channels.count;
  return pins;
}

bool Pinning::pins_nccl() const {
  return *this != Pinning{.mpi_all_reduce = mpi_all_reduce};
}

Pinning pinning_from(const std::vector<std::string>& arguments) {
  Pinning pinning;
  for_each_field(pinning, [&](const auto& row, auto& field) {
    const auto flag = "--" + flag_of(row.key);
    if (const auto value = value_of(arguments, flag)) read_text(flag, *value, field);
  });
  return pinning;
}

}  // namespace shardrift
