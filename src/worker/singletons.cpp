#include "worker/singletons.hpp"

#include <cstdlib>
#include <optional>

#include "common/error.hpp"
#include "common/text.hpp"

namespace shardrift {
namespace {

// Tasks of the step of srun that this process is one of; 0: it is none.
int tasks_of_step() {
  if (std::getenv("SLURM_STEP_ID") == nullptr || std::getenv("SLURM_PROCID") == nullptr) return 0;
  if (std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr) return 0;  // mpirun's daemons are tasks of a step too
  for (const char* name : {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"})
    if (const char* text = std::getenv(name)) return number_from<int>(text).value_or(0);
  return 0;
}

// How messages are sent, and through what: to oneself.
constexpr const char* kMessages = "OMPI_MCA_pml";
constexpr const char* kLinks = "OMPI_MCA_btl";
bool g_left_out = false;

// One rank, as its launcher says; or nobody launched this process. Where one did that we do not know: no.
bool is_alone() {
  if (const char* size = std::getenv("OMPI_COMM_WORLD_SIZE")) return std::string_view(size) == "1";
  for (const char* name : {"PMIX_RANK", "PMI_RANK", "SLURM_PROCID", "MPI_LOCALNRANKS"})
    if (std::getenv(name) != nullptr) return false;
  return true;
}

}  // namespace

void leave_networks_out() {
  if (!is_alone() || std::getenv(kMessages) != nullptr || std::getenv(kLinks) != nullptr) return;
  setenv(kMessages, "ob1", 0);
  setenv(kLinks, "self", 0);
  g_left_out = true;
}

bool left_networks_out(std::string_view variable) {
  return g_left_out && (variable == kMessages || variable == kLinks);
}

void refuse_singletons(const World& world, int ranks) {
  const int tasks = tasks_of_step();
  if (world.size() > 1 || ranks < 2 || tasks < 2) return;
  throw usage_error(
      "srun started {} processes, but each is alone: MPI and srun have no PMI in common; add --mpi=pmix to "
      "srun "
      "(srun --mpi=list shows what it has; in a site profile launcher_options), or use mpirun -n {}",
      tasks, ranks);
}

}  // namespace shardrift
