// Where the ranks of a group stop: at one step for all, found without anything on the way of a step. Once a
// stop is asked for, each rank promises not to go beyond its next step before it knows the others' promises;
// the farthest promise is the step at which all stop. Ranks may be any number of steps apart.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>

namespace shardrift {

class CommonStop {
 public:
  // The ranks [first, first + count) take the same steps from now on; `me` is one of them. Once.
  void among(int first, int count, int me);
  // This rank comes to its next step. True: all ranks of the group stop at it. Costs an uncontended lock
  // until a stop is asked for; then it may wait for the others' promises.
  bool step();

  // What follows is called by the thread that hears of stops and of other ranks.
  // A stop was asked for: this rank's promise, to be told to the others; 0 while there is no group.
  std::uint64_t promise();
  void hear(int rank, std::uint64_t promise);

 private:
  bool knows_all() const;

  std::mutex mutex_;
  std::condition_variable heard_;
  int first_ = 0;
  int count_ = 0;
  int me_ = -1;
  std::uint64_t step_ = 0;  // steps come to
  std::map<int, std::uint64_t> promises_;
};

}  // namespace shardrift
