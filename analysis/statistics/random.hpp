// Draws that are the same on every machine. std::mt19937_64 is fixed by the standard to the last bit; the
// standard's distributions are not: words become indices here, other numbers by Boost.Random, whose ways are
// its own and not the compiler's.
#pragma once
#include <boost/random/exponential_distribution.hpp>
#include <boost/random/gamma_distribution.hpp>
#include <boost/random/normal_distribution.hpp>
#include <cstdint>
#include <random>

namespace shardrift::statistics {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  // Uniform in [0, count), count >= 1. Words below 2^64 mod count are drawn again, so that no index is
  // favoured.
  std::uint64_t below(std::uint64_t count) {
    const std::uint64_t reject = (0 - count) % count;
    std::uint64_t word = engine_();
    while (word < reject) word = engine_();
    return word % count;
  }

  double exponential() { return boost::random::exponential_distribution<double>()(engine_); }  // of mean 1
  double normal() { return boost::random::normal_distribution<double>()(engine_); }            // standard
  double gamma(double shape) { return boost::random::gamma_distribution<double>(shape)(engine_); }

 private:
  std::mt19937_64 engine_;
};

}  // namespace shardrift::statistics
