// The time that records and reports carry.
#pragma once
#include <string>

namespace shardrift {

std::string utc_now();  // ISO 8601, to the second: "2026-03-01T12:00:00Z"

}  // namespace shardrift
