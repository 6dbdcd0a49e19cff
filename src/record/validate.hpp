// What a file that another program wrote lacks of a record (docs/file-format.md, "A record of your own"):
// every object by itself, so that one fault does not hide the others, where Reader stops at the first.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace shardrift::record {

struct Finding {
  std::string object;  // "/prompts/p0/chosen"; "/prompts/*/hash" where all prompts are alike
  std::string
      what;  // of what is wrong: what it is, and what it has to be; of what lacks: what is not known then
};

struct Validation {
  std::filesystem::path path;
  std::int64_t prompts = 0;
  std::int64_t rows = 0;
  std::int64_t rows_with_logits = 0;
  std::vector<Finding> wrong;  // while there is one, the file cannot be analysed
  std::vector<Finding> lacks;  // it can, without these
  bool usable() const { return wrong.empty() && prompts > 0; }
};

// Of its objects; what the rows say is analysis/inspect/validation.hpp's. Throws bad_data where there is
// none.
Validation validate(const std::filesystem::path& path);

}  // namespace shardrift::record
