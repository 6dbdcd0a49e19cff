// The data of the page, as JSON. Every section is a pure function of the Report; keys are short where there
// are many of them, numbers have 4 significant digits, and what has no value is null. page/js reads it.
#pragma once
#include <cstddef>
#include <nlohmann/json.hpp>

#include "analysis/report/report.hpp"

namespace shardrift::report {

using Json = nlohmann::ordered_json;

// Sampling, so that a page stays small whatever was measured; the page says so.
inline constexpr std::size_t kPositionBins = 64;     // bins of a plot over positions or steps
inline constexpr std::size_t kScatterPoints = 1200;  // rows of one run in the margin plot; flips are all kept
inline constexpr std::size_t kBands = 600;           // bands of one message in the order map
inline constexpr std::size_t kCurvePoints = 300;     // of one survival curve

Json payload_of(const Report& report);

Json reference_json(const Report& report);
Json run_json(const Report& report, std::size_t run);  // one row of the table of configurations
Json verdict_json(const Report& report);               // null without a verdict
Json differences_json(const Report& report);           // plan and environment
Json survival_json(const Report& report);              // survival.cpp
Json first_differences_json(const Report& report);     // survival.cpp: prompts x runs
Json positions_json(const Report& report);             // positions.cpp
Json margins_json(const Report& report);               // margins.cpp
Json layers_json(const Report& report);                // layers.cpp: growth, ladder
Json orders_json(const Report& report);                // orders.cpp
Json tokens_json(const Report& report);                // tokens.cpp

// 4 significant digits; null for NaN and infinities.
Json number(double value);
Json points_json(const std::vector<CurvePoint>& points);  // [[x, y, low, high]…], [[x, y]…] without intervals

}  // namespace shardrift::report
