#include "record/output_names.hpp"

#include <string>

#include "common/name_length.hpp"
#include "record/files.hpp"

namespace shardrift::record {

void refuse_long_names(const std::filesystem::path& output) {
  constexpr std::size_t kLongestId = 64;  // valid_id
  const std::string owner(8, 'x');
  refuse_long_name("--output", output, assembling_path(output));
  refuse_long_name("--output", output,
                   temporary_path(part_path(parts_directory(output), std::string(kLongestId, 'x')), owner));
}

}  // namespace shardrift::record
