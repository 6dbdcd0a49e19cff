// Graft tables as text, JSON and CSV, and read back from the JSON that the worker wrote.
#pragma once
#include <filesystem>
#include <ostream>
#include <string>

#include "analysis/graft/graft_table.hpp"

namespace shardrift::analysis {

std::string graft_text(const GraftTable& table);
std::string graft_json(const GraftTable& table);  // "shardrift graft 1"; ends in a newline
// Throws bad_data naming file and key.
GraftTable read_graft(const std::filesystem::path& path);
// A line for the candidate as it is (`layer` and `put` empty), and one for each graft.
void write_csv(std::ostream& out, const GraftTable& table);

}  // namespace shardrift::analysis
