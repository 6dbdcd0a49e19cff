// Thresholds as gate's JSON and certificates have them, and back.
#pragma once
#include "analysis/verdict/thresholds.hpp"
#include "common/json_reader.hpp"

namespace shardrift::verdict {

// Of bit_equal: true; bits are equal or not, there is no number to allow.
nlohmann::ordered_json limit_json(const Limit& limit);
nlohmann::ordered_json thresholds_json(const Thresholds& thresholds);
// Throws bad_data naming file and key: a limit that this program does not know, a value that makes no sense.
Thresholds thresholds_from_json(const JsonObject& object);

}  // namespace shardrift::verdict
