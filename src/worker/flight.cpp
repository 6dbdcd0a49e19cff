#include "worker/flight.hpp"

#include <algorithm>

namespace shardrift {

bool Flight::over() const {
  return prefilled == prefills.size() && begun.empty() &&
         std::all_of(sequences.begin(), sequences.end(),
                     [](const Sequence& sequence) { return sequence.done; });
}

}  // namespace shardrift
