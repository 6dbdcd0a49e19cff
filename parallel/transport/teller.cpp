#include "parallel/transport/teller.hpp"

#include "common/progress.hpp"

namespace shardrift {
namespace {
constexpr int kTag = 1;  // send() and receive() of the same communicator use 0
}

Teller::Teller(const Communicator& communicator, int root)
    : comm_(communicator.get()), root_(root), rank_(communicator.rank()), size_(communicator.size()) {}

void Teller::tell(std::vector<std::int32_t>& values) {
  const auto count = static_cast<int>(values.size());
  if (rank_ != root_) {
    const progress::Waiting waiting(progress::On::ranks, "the next tokens");
    MPI_Recv(values.data(), count, MPI_INT32_T, root_, kTag, comm_, MPI_STATUS_IGNORE);
    return;
  }
  while (!sent_.empty()) {
    Message& oldest = sent_.front();
    int done = 0;
    MPI_Testall(static_cast<int>(oldest.requests.size()), oldest.requests.data(), &done, MPI_STATUSES_IGNORE);
    if (done == 0) break;
    sent_.pop_front();
  }
  Message& message = sent_.emplace_back(Message{values, {}});
  for (int peer = 0; peer < size_; ++peer) {
    if (peer == root_) continue;
    message.requests.emplace_back();
    MPI_Isend(message.values.data(), count, MPI_INT32_T, peer, kTag, comm_, &message.requests.back());
  }
}

void Teller::finish() {
  const progress::Waiting waiting(progress::On::ranks, "the end of a message");
  for (Message& message : sent_)
    MPI_Waitall(static_cast<int>(message.requests.size()), message.requests.data(), MPI_STATUSES_IGNORE);
  sent_.clear();
}

}  // namespace shardrift
