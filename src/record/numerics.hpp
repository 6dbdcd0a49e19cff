// What of an environment can move a run's bits: the results of two that differ in it do not belong into one
// record.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "record/record.hpp"

namespace shardrift::record {

// Does a variable of that name choose algorithms or kernels? Not networks, devices, numbers of threads: those
// differ between hosts for good reasons.
bool pins_numerics(std::string_view variable);

// By name: versions of libraries, which kernels they choose, the devices' models, the variables above. Not
// hosts, dates, paths, nor what a run learns of itself after it began (its collectives).
using Numerics = std::map<std::string, std::string>;
Numerics numerics_of(const Environment& environment);

// The first fact that differs: "the variable MKL_CBWR was COMPATIBLE, now is (not set)".
std::optional<std::string> first_difference(const Numerics& was, const Numerics& now);

}  // namespace shardrift::record
