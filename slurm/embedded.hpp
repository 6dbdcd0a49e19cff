// Files of this folder that are part of the program, so that it works wherever it is copied (CMakeLists.txt).
#pragma once
#include <span>
#include <string_view>

namespace shardrift::slurm {

struct EmbeddedFile {
  std::string_view name;
  std::string_view text;
};

std::span<const EmbeddedFile> embedded_profiles();  // name: the file's stem
std::string_view embedded_task_script();            // templates/task.sh

}  // namespace shardrift::slurm
