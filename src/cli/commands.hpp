// The subcommands of shardrift. Each takes the arguments after its name and returns the exit code; errors are
// thrown.
#pragma once
#include <string>
#include <vector>

#include "common/error.hpp"
#include "common/standard_output.hpp"

namespace shardrift::cli {

ExitCode compare(const std::vector<std::string>& arguments);
ExitCode diagnose(const std::vector<std::string>& arguments);
ExitCode envelope(const std::vector<std::string>& arguments);
ExitCode explain(const std::vector<std::string>& arguments);
ExitCode gate(const std::vector<std::string>& arguments);
ExitCode import(const std::vector<std::string>& arguments);
ExitCode inspect(const std::vector<std::string>& arguments);
ExitCode profile(const std::vector<std::string>& arguments);
ExitCode report(const std::vector<std::string>& arguments);
ExitCode scale_out(const std::vector<std::string>& arguments);
ExitCode study(const std::vector<std::string>& arguments);
ExitCode submit(const std::vector<std::string>& arguments);
ExitCode status(const std::vector<std::string>& arguments);
ExitCode cancel(const std::vector<std::string>& arguments);

// What a user should know of the files read; to standard error.
void note(const std::string& text);

}  // namespace shardrift::cli
