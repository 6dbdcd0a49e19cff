#include "parallel/transport/mpi_world.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <fstream>

#include "common/progress.hpp"
#include "common/stop_request.hpp"
#include "common/system_reason.hpp"
#include "parallel/transport/watchdog.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 30;  // MPI counts are int

// What ranks agree by goes from rank to rank: a collective may be pinned differently on each until that has
// been compared. MPI's default error handler ends the job itself, so return codes carry nothing.
void send_text(const std::string& text, int peer) {
  const progress::Waiting waiting(progress::On::ranks, "an exchange");
  const auto length = static_cast<std::int64_t>(text.size());
  MPI_Send(&length, 1, MPI_INT64_T, peer, 0, MPI_COMM_WORLD);
  for (std::size_t begin = 0; begin < text.size(); begin += kPiece)
    MPI_Send(text.data() + begin, static_cast<int>(std::min(kPiece, text.size() - begin)), MPI_CHAR, peer, 0,
             MPI_COMM_WORLD);
}
std::string receive_text(int peer) {
  const progress::Waiting waiting(progress::On::ranks, "an exchange");
  std::int64_t length = 0;
  MPI_Recv(&length, 1, MPI_INT64_T, peer, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  std::string text(static_cast<std::size_t>(length), '\0');
  for (std::size_t begin = 0; begin < text.size(); begin += kPiece)
    MPI_Recv(text.data() + begin, static_cast<int>(std::min(kPiece, text.size() - begin)), MPI_CHAR, peer, 0,
             MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  return text;
}

// Two machines may have one name, but not one boot.
std::string boot() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  file >> id;
  return id;
}

}  // namespace

Communicator& Communicator::operator=(Communicator&& other) noexcept {
  std::swap(comm_, other.comm_);
  return *this;
}

Communicator::~Communicator() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (comm_ != MPI_COMM_NULL && finalized == 0) MPI_Comm_free(&comm_);
}

int Communicator::rank() const {
  int rank = 0;
  MPI_Comm_rank(comm_, &rank);
  return rank;
}

int Communicator::size() const {
  int size = 1;
  MPI_Comm_size(comm_, &size);
  return size;
}

void Communicator::broadcast(std::vector<std::int32_t>& values, int root) const {
  const progress::Waiting waiting(progress::On::ranks, "a broadcast");
  MPI_Bcast(values.data(), static_cast<int>(values.size()), MPI_INT32_T, root, comm_);
}

void Communicator::barrier() const {
  const progress::Waiting waiting(progress::On::ranks, "a barrier");
  MPI_Barrier(comm_);
}

void Communicator::sum_to(std::vector<std::uint64_t>& values, int root) const {
  const progress::Waiting waiting(progress::On::ranks, "a sum");
  for (std::size_t begin = 0; begin < values.size(); begin += kPiece) {
    const auto count = static_cast<int>(std::min(kPiece, values.size() - begin));
    std::uint64_t* piece = values.data() + begin;
    if (rank() == root) {
      MPI_Reduce(MPI_IN_PLACE, piece, count, MPI_UINT64_T, MPI_SUM, root, comm_);
    } else {
      MPI_Reduce(piece, nullptr, count, MPI_UINT64_T, MPI_SUM, root, comm_);
    }
  }
}

void Communicator::send(std::span<const std::byte> bytes, int peer) const {
  const progress::Waiting waiting(progress::On::ranks, "a send");
  for (std::size_t begin = 0; begin < bytes.size(); begin += kPiece)
    MPI_Send(bytes.data() + begin, static_cast<int>(std::min(kPiece, bytes.size() - begin)), MPI_BYTE, peer,
             0, comm_);
}

void Communicator::receive(std::span<std::byte> bytes, int peer) const {
  const progress::Waiting waiting(progress::On::ranks, "a receive");
  for (std::size_t begin = 0; begin < bytes.size(); begin += kPiece)
    MPI_Recv(bytes.data() + begin, static_cast<int>(std::min(kPiece, bytes.size() - begin)), MPI_BYTE, peer,
             0, comm_, MPI_STATUS_IGNORE);
}

World::World(int& argc, char**& argv) {
  {
    // A rank that ended between its greeting and mpirun's answer left mpirun waiting for ever (4.1.4, seen).
    const SecondSignalWaits until_met;
    int provided = 0;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  }
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &size_);
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  int length = 0;
  MPI_Get_processor_name(name.data(), &length);
  host_.assign(name.data(), static_cast<std::size_t>(length));
  // No collective before the ranks have compared what pins them: not MPI_Comm_split_type either.
  const std::string boot_id = boot();
  machine_ = host_ + " " + boot_id;
  const auto boots = gather_all(boot_id);
  const auto hosts = gather_all(host_);
  local_rank_ = local_size_ = 0;
  for (std::size_t rank = 0; rank < hosts.size(); ++rank) {
    if (hosts[rank] != host_ || boots[rank] != boots[static_cast<std::size_t>(rank_)]) continue;
    if (static_cast<int>(rank) < rank_) ++local_rank_;
    ++local_size_;
  }
  auto heartbeat = std::make_unique<Heartbeat>();
  const auto introductions = gather_all(heartbeat->introduction(boot_id));
  watchdog_ = std::make_unique<Watchdog>(rank_, std::move(heartbeat), hosts, introductions);
  note_unheard(hosts);
}

// Watching depends on every rank hearing every other.
void World::note_unheard(const std::vector<std::string>& hosts) const {
  std::string mine;
  for (const int rank : watchdog_->unheard())
    mine +=
        fmt::format("{}rank {} on {}", mine.empty() ? "" : ", ", rank, hosts[static_cast<std::size_t>(rank)]);
  const auto all = gather_all(mine);
  const auto first =
      std::find_if(all.begin(), all.end(), [](const auto& unheard) { return !unheard.empty(); });
  if (first == all.end()) return;
  watchdog_->trust_no_silence();
  const auto rank = static_cast<std::size_t>(first - all.begin());
  if (rank_ == 0)
    std::fprintf(
        stderr,
        "shardrift-run: rank %zu on %s does not hear %s (is UDP blocked between these hosts?): a rank "
        "that stops is not noticed, and a signal ends the run at its second coming only\n",
        rank, hosts[rank].c_str(), first->c_str());
}

World::~World() {
  const progress::Doing ending("ending");
  if (watchdog_->is_blind()) watchdog_->leave();  // goodbyes do not arrive: none may be missed
  {
    const progress::Waiting waiting(progress::On::ranks, "MPI_Finalize");
    MPI_Finalize();
  }
  watchdog_.reset();
}

void World::end_stalls_after(int seconds) const {
  watchdog_->set_timeout(seconds);
}

void World::steps_with(int first, int count) const {
  watchdog_->steps_among(first, count);
}

bool World::stops_here() const {
  return watchdog_->step();
}

void World::together(const std::function<void()>& step) const {
  int code = 0;
  std::string message;
  try {
    step();
  } catch (const Error& error) {
    code = static_cast<int>(error.code());
    message = error.what();
  } catch (const std::exception& error) {
    code = static_cast<int>(ExitCode::failure);
    message = reason_of(error);
  }
  if (code != 0 && rank_ != 0) message = fmt::format("rank {} on {}: {}", rank_, host_, message);
  // "" where the step succeeded, else the code and the message.
  for (const auto& said : gather_all(code == 0 ? "" : fmt::format("{} {}", code, message)))
    if (!said.empty()) {
      const auto space = said.find(' ');
      throw AgreedError(static_cast<ExitCode>(std::stoi(said.substr(0, space))), said.substr(space + 1));
    }
}

void World::abort(int exit_code) const {
  watchdog_->leave();  // this rank has said why
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::terminate();
}

std::string World::broadcast(const std::string& text, int root) const {
  if (rank_ != root) return receive_text(root);
  for (int peer = 0; peer < size_; ++peer)
    if (peer != root) send_text(text, peer);
  return text;
}

std::vector<std::string> World::gather_all(const std::string& text) const {
  std::vector<std::string> all{text};
  if (rank_ != 0) {
    send_text(text, 0);
    all.clear();
    for (int rank = 0; rank < size_; ++rank) all.push_back(receive_text(0));
    return all;
  }
  for (int peer = 1; peer < size_; ++peer) all.push_back(receive_text(peer));
  for (int peer = 1; peer < size_; ++peer)
    for (const auto& one : all) send_text(one, peer);
  return all;
}

double World::maximum(double value) const {
  const progress::Waiting waiting(progress::On::ranks, "a maximum");
  MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return value;
}

std::int64_t World::sum(std::int64_t value) const {
  const progress::Waiting waiting(progress::On::ranks, "a sum");
  MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
  return value;
}

void World::barrier() const {
  const progress::Waiting waiting(progress::On::ranks, "a barrier");
  MPI_Barrier(MPI_COMM_WORLD);
}

Communicator World::split(int color, int key) const {
  const progress::Waiting waiting(progress::On::ranks, "a split");
  MPI_Comm comm = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, color, key, &comm);
  return Communicator(comm);
}

std::string mpi_library_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  const std::string whole(text.data(), static_cast<std::size_t>(length));
  return whole.substr(0, whole.find_first_of(",\n"));
}

}  // namespace shardrift
