// Which GPUs of this machine are free, where several runs go on side by side.
#pragma once
#include <string>
#include <vector>

namespace shardrift::runner {

class GpuPool {
 public:
  explicit GpuPool(std::vector<std::string> ids) : all_(ids), free_(std::move(ids)) {}

  // Are `count` of them free; where wanted >= 0: is that one, by its place in the machine?
  bool has(int count, int wanted) const { return !chosen(count, wanted).empty(); }
  // The lowest first, so that a study uses the same devices each time. Requires has().
  std::vector<std::string> take(int count, int wanted);
  void give_back(const std::vector<std::string>& ids);

 private:
  std::vector<std::string> chosen(int count, int wanted) const;  // empty: not free

  std::vector<std::string> all_;
  std::vector<std::string> free_;  // in the order of all_
};

}  // namespace shardrift::runner
