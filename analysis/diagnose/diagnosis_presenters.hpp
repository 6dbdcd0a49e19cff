// A diagnosis for a terminal and as JSON (docs/diagnose.schema.json).
#pragma once
#include <string>

#include "analysis/diagnose/diagnosis.hpp"

namespace shardrift::analysis {

std::string diagnosis_text(const Diagnosis& diagnosis);
std::string diagnosis_json(const Diagnosis& diagnosis);

}  // namespace shardrift::analysis
