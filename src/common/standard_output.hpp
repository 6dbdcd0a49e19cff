// What we say on standard output: whole, ours alone, and never lost unseen.
#pragma once
#include <string>

namespace shardrift {

// First in main. A standard file that is closed is kept from becoming the next file that is opened, a record
// for instance: writing to it fails as if it were still closed.
void guard_standard_files();

// From here on standard output is print's alone: what libraries write there (NCCL_DEBUG's lines, torch's,
// MPI's) goes to standard error, and never stands inside a table.
void claim_standard_output();

// Throws failure where it cannot be written: a full disk, a closed file.
void print(const std::string& text);

}  // namespace shardrift
