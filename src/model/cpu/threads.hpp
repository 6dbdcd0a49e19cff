// Threads of one rank for our own kernels. Work is cut by output element, never by summed index, so the
// number of threads changes no bits.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace shardrift {

class Threads {
 public:
  explicit Threads(int count);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  // Calls body(begin, end) on contiguous parts of [0, n), on all threads; returns when all are done.
  // Runs on the calling thread alone where n < grain · 2.
  void for_range(std::int64_t n, std::int64_t grain,
                 const std::function<void(std::int64_t, std::int64_t)>& body);

 private:
  void work(int thread);
  void run_part(int thread) const;

  int count_;
  std::vector<std::thread> workers_;
  std::atomic<std::uint32_t> generation_{0};
  std::atomic<int> running_{0};
  std::atomic<bool> stopping_{false};
  std::int64_t n_ = 0;
  const std::function<void(std::int64_t, std::int64_t)>* body_ = nullptr;
};

}  // namespace shardrift
