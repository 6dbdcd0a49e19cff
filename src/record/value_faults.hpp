// Values of a record that cannot be what they say: what `validate` finds of single attributes and lists.
// Each returns what is wrong as a clause ("is 'banana', …"), empty: nothing.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace shardrift::record {

// What keeps a plan from saying who computed the record, or the numbers that a plan of shardrift-run cannot
// have.
std::string fault_of_plan(const std::string& plan);
// A SHA-256: 64 hexadecimal digits, or empty where it is not known.
std::string fault_of_sha256(const std::string& hash);
// The name of a dtype (common/dtype.hpp), or empty.
std::string fault_of_dtype(const std::string& dtype);
// Why a text ended: eos, length, context or given; or empty.
std::string fault_of_stop(const std::string& stop);
// Seconds, or a number of tokens.
std::string fault_of_amount(double amount);
// Positions of a prompt of so many tokens: rows stand one after another, and the first within the prompt.
std::string fault_of_positions(const std::vector<std::int32_t>& positions, std::size_t tokens);

}  // namespace shardrift::record
