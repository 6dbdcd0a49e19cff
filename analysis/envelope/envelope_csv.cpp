#include <fmt/format.h>

#include "analysis/envelope/envelope_presenters.hpp"

namespace shardrift::analysis {

SpreadSink envelope_csv(std::ostream& out) {
  out << "prompt,position,token,lowest,highest\n";
  return [&out](const std::string& id, const EnvelopeRow& row, const std::vector<double>& lowest,
                const std::vector<double>& highest) {
    for (std::size_t i = 0; i < lowest.size(); ++i)
      out << fmt::format("{},{},{},{:.9g},{:.9g}\n", id, row.position, i, lowest[i], highest[i]);
  };
}

}  // namespace shardrift::analysis
