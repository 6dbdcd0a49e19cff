// Names of a run's files, and the steps that make one durable. Private to src/record.
//
//   OUT.h5                 the finished record
//   OUT.h5.lock            held while a run writes; stays
//   OUT.h5.assembling      an assembly in progress; left over by a kill, removed by the next run
//   OUT.h5.parts/+run.h5   what is known before the first token ('+' is in no prompt id)
//   OUT.h5.parts/<id>.h5   one finished prompt
//   OUT.h5.parts/*.tmp     <id>.h5.<owner>.tmp, a part being written; never read
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "common/durable_file.hpp"

namespace shardrift::record {

std::filesystem::path parts_directory(const std::filesystem::path& output);
std::filesystem::path assembling_path(const std::filesystem::path& output);
std::filesystem::path lock_path(const std::filesystem::path& output);
std::filesystem::path header_path(const std::filesystem::path& parts);
std::filesystem::path part_path(const std::filesystem::path& parts, const std::string& id);
// owner: token of the lock, so that two writers whom a file system let in at once write two files.
std::filesystem::path temporary_path(const std::filesystem::path& path, const std::string& owner);

bool is_there(const std::filesystem::path& path);  // false also where it cannot be known
// Ids of the parts there, in no order.
std::vector<std::string> part_ids(const std::filesystem::path& parts);

void remove_quietly(const std::filesystem::path& path);
// Removes only what a run puts there: parts and temporaries, then the header, then the directory if it is
// empty. Prompts first: with the header there, an interrupted removal still looks like a run's parts. Throws
// failure.
void remove_parts(const std::filesystem::path& parts);

}  // namespace shardrift::record
