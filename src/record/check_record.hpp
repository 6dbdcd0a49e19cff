// A caller's mistake in what is to be recorded, found before it is on disk. Private to src/record.
#pragma once
#include <string>

#include "record/record.hpp"

namespace shardrift::record {

void check_id(const std::string& id);  // throws usage_error
// All but the logits. Throws failure, or usage_error naming the id.
void check_record(const PromptRecord& record);

}  // namespace shardrift::record
