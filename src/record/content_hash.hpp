// SHA-256 over everything that a prompt's group says: kept beside it as the attribute `content`, so that an
// edit that keeps HDF5's checksums right is found too. Private to src/record.
#pragma once
#include <string>
#include <string_view>

#include "record/record.hpp"

namespace shardrift::record {

// logits, hidden: SHA-256 of the words that are stored, in file order; empty where none are. What `record`
// holds of these words is not looked at.
std::string content_hash(const PromptRecord& record, std::string_view logits, std::string_view hidden);

}  // namespace shardrift::record
