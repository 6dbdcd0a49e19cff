#include "worker/weights_identity.hpp"

#include "common/error.hpp"
#include "common/hash.hpp"
#include "common/progress.hpp"
#include "parallel/transport/agreement.hpp"
#include "weights/hash_cache.hpp"

namespace shardrift {
namespace {

// The same for ranks that read the same files, on one host or over a network: a copy of a file has another
// inode or time of change. Device numbers are each host's own. 31 bits of a hash, for MPI_Comm_split.
int number_of_files(const Checkpoint& checkpoint) {
  std::string text;
  for (const auto& stamp : checkpoint.stamps())
    text += fmt::format("{} {} {} {}\n", stamp.inode, stamp.size, stamp.mtime, stamp.ctime);
  return static_cast<int>(std::stoul(sha256_hex(text).substr(0, 8), nullptr, 16) & 0x7FFFFFFFU);
}

}  // namespace

WeightsIdentity::WeightsIdentity(const World& world, const Checkpoint& checkpoint, int threads)
    : world_(world),
      checkpoint_(checkpoint),
      threads_(threads),
      files_(number_of_files(checkpoint)),
      readers_(world.split(files_, world.rank())) {
  bool kept = true;
  if (readers_.rank() == 0) {
    const auto sums = kept_sums(checkpoint);
    kept = sums.has_value();
    if (sums) sums_ = *sums;
  }
  known_ = world.sum(kept ? 0 : 1) == 0;
}

void WeightsIdentity::start() {
  if (known_ || hasher_) return;
  hasher_ = std::make_unique<WeightHasher>(checkpoint_, readers_.rank(), readers_.size(), threads_);
}

std::string WeightsIdentity::hash(const std::function<void(double share)>& progress) {
  const progress::Doing hashing("hashing weights");
  if (!known_) {
    start();
    sums_ = hasher_->sums(progress);
    readers_.sum_to(sums_, 0);
    world_.together([&] { checkpoint_.require_unchanged(); });
    if (readers_.rank() == 0) keep_sums(checkpoint_, sums_);
  }
  // The first of those who read the same files tells the others.
  std::string hash = readers_.rank() == 0 ? weight_hash(checkpoint_, sums_) : std::string();
  for (const auto& words : world_.gather_all(fmt::format("{} {}", files_, hash)))
    if (words.starts_with(fmt::format("{} ", files_)) && !words.ends_with(' '))
      hash = words.substr(words.find(' ') + 1);
  require_agreement(world_, "weights (hash of every stored byte)", hash, "give every host the same --model");
  return hash;
}

}  // namespace shardrift
