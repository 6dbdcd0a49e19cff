// What a run and a probe pin of that which a collective library would choose by itself, as a value with its
// table of fields. The worker hands it to the libraries before they start (worker/apply_pinning.hpp).
#pragma once
#include <string>
#include <vector>

#include "common/field_table.hpp"
#include "common/named_enum.hpp"
#include "options/own_flag.hpp"
#include "parallel/profile/collective_model.hpp"

namespace shardrift {

enum class PinnedAlgorithm { automatic, ring, tree, nvls };
constexpr auto names_of(PinnedAlgorithm) {
  return std::to_array<Named<PinnedAlgorithm>>({{PinnedAlgorithm::automatic, "auto"},
                                                {PinnedAlgorithm::ring, "ring"},
                                                {PinnedAlgorithm::tree, "tree"},
                                                {PinnedAlgorithm::nvls, "nvls"}});
}
enum class PinnedProtocol { automatic, ll, ll128, simple };
constexpr auto names_of(PinnedProtocol) {
  return std::to_array<Named<PinnedProtocol>>({{PinnedProtocol::automatic, "auto"},
                                               {PinnedProtocol::ll, "ll"},
                                               {PinnedProtocol::ll128, "ll128"},
                                               {PinnedProtocol::simple, "simple"}});
}
struct PinnedChannels {
  int count = 0;  // 0: auto
  bool operator==(const PinnedChannels&) const = default;
};
std::string text_of(PinnedChannels channels);
void read_text(std::string_view flag, const std::string& text, PinnedChannels& channels);

struct Pinning {
  OpenMpiAllReduce mpi_all_reduce = OpenMpiAllReduce::automatic;
  PinnedAlgorithm nccl_algorithm = PinnedAlgorithm::automatic;
  PinnedProtocol nccl_protocol = PinnedProtocol::automatic;
  PinnedChannels nccl_channels;
  bool operator==(const Pinning&) const = default;

  NcclPins nccl() const;  // for the search of a model; nvls has none
  bool pins_nccl() const;
};

constexpr auto fields_of(std::type_identity<Pinning>) {
  return std::tuple{
      OwnFlag{
          "mpi_allreduce", &Pinning::mpi_all_reduce,
          "auto, basic-linear, recursive-doubling, ring, rabenseifner: OpenMPI's all-reduce (default auto)"},
      OwnFlag{"nccl_algorithm", &Pinning::nccl_algorithm,
              "auto, ring, tree, nvls: NCCL's all-reduce (default auto)"},
      OwnFlag{"nccl_protocol", &Pinning::nccl_protocol,
              "auto, ll, ll128, simple: NCCL's protocol (default auto)"},
      OwnFlag{"nccl_channels", &Pinning::nccl_channels, "auto or 1 to 64: NCCL's channels (default auto)"},
  };
}
static_assert(field_count<Pinning>() == member_count<Pinning>(), "a member of Pinning has no row above");

// The flags of the table among `arguments` ("--flag value" or "--flag=value"); others are left alone. Throws
// usage_error on a bad value.
Pinning pinning_from(const std::vector<std::string>& arguments);

}  // namespace shardrift
