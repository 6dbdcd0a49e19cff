// Where Evidence comes from: records, each opened once and measured against the reference and the truth while
// it is open. What gate, report and study judge by.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>

#include "analysis/measure/measure.hpp"
#include "analysis/verdict/verdict.hpp"
#include "record/reader.hpp"

namespace shardrift::verdict {

enum class Part { candidate, repeat, yardstick };

class Gathering {
 public:
  // reference: stays open as long as this lives.
  Gathering(const record::Reader& reference, analysis::MeasureOptions how);

  // Candidates that are added afterwards are measured against it as well.
  void use_truth(record::Reader truth);
  // Opens and measures a record. `seen` gets the two open records and may change the names in the measurement
  // before it becomes evidence. Throws bad_data where the record cannot be used, or is no other run of the
  // reference's plan and mode as a repeat has to be; then nothing was added.
  using Seen = std::function<void(const record::Reader& reference, const record::Reader& record,
                                  analysis::Measurement& measurement)>;
  void add(Part part, const std::filesystem::path& record, const Seen& seen = {});

  // All that was added, in its order.
  Evidence evidence() &&;

 private:
  void require_same_weights(const record::Reader& record) const;
  void require_repeat(const record::Reader& record, const analysis::Measurement& measurement) const;

  const record::Reader& reference_;
  std::optional<record::Reader> truth_;
  analysis::MeasureOptions how_;
  Evidence evidence_;
};

}  // namespace shardrift::verdict
