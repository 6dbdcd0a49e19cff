// One-shot and two-shot all-reduces of ranks that share host memory: the CPU path of our own collectives.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>

#include "common/error.hpp"
#include "common/progress.hpp"
#include "common/system_reason.hpp"
#include "parallel/order_models/peer_order.hpp"
#include "parallel/reduction/sum_in_turn.hpp"
#include "parallel/transport/peer_transport.hpp"

namespace shardrift {
namespace {

constexpr const char* kWhat = "sharing memory";
constexpr std::size_t kLine = 64;  // bytes that one rank's flag has for itself
constexpr int kSpins = 200;        // looks at a flag before the core is handed on
constexpr std::size_t kAlign = 4096;

// The same zero-filled pages in all ranks; nobody else can name them, and they go with the last rank.
class SharedMemory {
 public:
  SharedMemory(const Communicator& ranks, std::size_t bytes) : bytes_(bytes) {
    const bool owner = ranks.rank() == 0;
    int file = -1;
    together_in(ranks, kWhat, [&] {
      if (owner) file = created(bytes);
    });
    std::vector<std::int32_t> where{static_cast<std::int32_t>(getpid()), file};
    ranks.broadcast(where, 0);
    together_in(ranks, kWhat, [&] {
      if (!owner) file = opened(where[0], where[1]);
      void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
      if (mapped == MAP_FAILED) throw failure("{} bytes of shared memory: {}", bytes, system_reason(errno));
      data_ = static_cast<std::byte*>(mapped);
    });
    close(file);  // all have mapped it
  }
  ~SharedMemory() { munmap(data_, bytes_); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  std::byte* data() const { return data_; }

 private:
  static int created(std::size_t bytes) {
    const int file = memfd_create("shardrift-sum", MFD_CLOEXEC);
    // Reserved now: a page that is missing later would be a SIGBUS.
    const int error = file < 0 ? errno : posix_fallocate(file, 0, static_cast<off_t>(bytes));
    if (error != 0)
      throw failure("{} bytes of shared memory for --collective: {}; use --collective library", bytes,
                    system_reason(error));
    return file;
  }
  static int opened(int process, int descriptor) {
    const std::string path = fmt::format("/proc/{}/fd/{}", process, descriptor);
    const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (file < 0)
      throw failure(
          "the memory that rank 0 of the group shares: {}: {} (ranks in containers of their own?); use "
          "--collective "
          "library",
          path, system_reason(errno));
    return file;
  }
  std::size_t bytes_;
  std::byte* data_ = nullptr;
};

// What a rank says of its own progress, counted in calls.
struct alignas(kLine) Flags {
  std::atomic<std::uint64_t> given{0};                 // its message lies in its buffer
  alignas(kLine) std::atomic<std::uint64_t> added{0};  // its part of a two-shot is added
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

class SharedMemorySum final : public PeerSum {
 public:
  SharedMemorySum(const Communicator& ranks, Collective collective, std::size_t capacity)
      : rank_(ranks.rank()),
        size_(ranks.size()),
        collective_(collective),
        capacity_(capacity),
        stride_((capacity + kAlign - 1) / kAlign * kAlign),
        memory_(ranks, kAlign * count(size_) + 2 * stride_ * count(size_)) {
    static_assert(sizeof(Flags) <= kAlign);
    new (&flags(rank_)) Flags();
    ranks.barrier();
  }

  void all_reduce(void* data, std::int64_t count, DType dtype) override {
    const std::size_t bytes = static_cast<std::size_t>(count) * size_of(dtype);
    if (bytes > capacity_)
      throw failure("a {} all-reduce of {} bytes: it was made for {} at most", name_of(collective_), bytes,
                    capacity_);
    if (count == 0) return;
    const progress::Waiting waiting(progress::On::ranks, "an all-reduce");
    ++call_;
    std::memcpy(buffer(rank_), data, bytes);
    flags(rank_).given.store(call_, std::memory_order_release);
    for (int rank = 0; rank < size_; ++rank) wait_for(flags(rank).given);
    if (collective_ == Collective::one_shot) {
      sum(0, {0, count}, dtype, data);
      return;
    }
    // Nobody but this rank looks at this part of anybody's message: its sum may take its place.
    const auto mine = part(count, dtype, rank_);
    sum(rank_, mine, dtype, buffer(rank_) + bytes_of(mine.begin, dtype));
    flags(rank_).added.store(call_, std::memory_order_release);
    for (int rank = 0; rank < size_; ++rank) {
      wait_for(flags(rank).added);
      const auto part_of_rank = part(count, dtype, rank);
      const std::size_t at = bytes_of(part_of_rank.begin, dtype);
      std::memcpy(static_cast<std::byte*>(data) + at, buffer(rank) + at,
                  bytes_of(part_of_rank.size(), dtype));
    }
  }

 private:
  static std::size_t count(int ranks) { return static_cast<std::size_t>(ranks); }
  static std::size_t bytes_of(std::int64_t elements, DType dtype) {
    return static_cast<std::size_t>(elements) * size_of(dtype);
  }
  MessagePart part(std::int64_t elements, DType dtype, int rank) const {
    return two_shot_part(elements, dtype, size_, rank);
  }
  Flags& flags(int rank) const {
    return *std::launder(reinterpret_cast<Flags*>(memory_.data() + kAlign * count(rank)));
  }
  std::byte* buffer(int rank) const {
    return memory_.data() + kAlign * count(size_) + (2 * count(rank) + call_ % 2) * stride_;
  }
  // first, first + 1, … modulo the ranks
  void sum(int first, const MessagePart& elements, DType dtype, void* out) {
    messages_.clear();
    for (int k = 0; k < size_; ++k)
      messages_.push_back(buffer((first + k) % size_) + bytes_of(elements.begin, dtype));
    sum_in_turn(messages_, elements.size(), dtype, out);
  }
  // For ever, where a rank does not come: the watchdogs know who waits on whom and end the job.
  void wait_for(const std::atomic<std::uint64_t>& flag) const {
    for (int looks = 0; flag.load(std::memory_order_acquire) < call_; ++looks)
      if (looks >= kSpins) sched_yield();
  }

  int rank_;
  int size_;
  Collective collective_;
  std::size_t capacity_;
  std::size_t stride_;   // of buffers
  SharedMemory memory_;  // a page of flags a rank, then two buffers a rank
  std::uint64_t call_ = 0;
  std::vector<const void*> messages_;
};

}  // namespace

std::unique_ptr<PeerSum> make_shared_memory_sum(const Communicator& ranks, Collective collective,
                                                std::size_t capacity) {
  return std::make_unique<SharedMemorySum>(ranks, collective, capacity);
}

}  // namespace shardrift
