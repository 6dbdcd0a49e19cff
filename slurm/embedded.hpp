// Files of this folder that are part of the program.
#pragma once
#include <span>
#include <string_view>

#include "common/embedded_file.hpp"

namespace shardrift::slurm {

extern const std::span<const EmbeddedFile> embedded_profiles;  // profiles/*.toml
extern const std::string_view embedded_task_script;            // templates/task.sh

}  // namespace shardrift::slurm
