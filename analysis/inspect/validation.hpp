// Can this file of another program be analysed, and what would it take for more?
#pragma once
#include <filesystem>

#include "record/validate.hpp"

namespace shardrift::analysis {

// What the record lacks, object by object, and what its rows say of themselves: is each the logits after the
// token that it names, is that token the one the text has there, are they logits? Reads all of the file.
// Throws bad_data where there is none to read.
record::Validation validate_record(const std::filesystem::path& path);

}  // namespace shardrift::analysis
