// A file that a command writes because a flag names it.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace shardrift {

// Every file that a flag names is one of these. Opened before anything is computed, so that a path that
// cannot be written is known at once. A pipe or a device is written into, never replaced.
class OutputFile {
 public:
  // An empty path: the flag was not given, and nothing is written. Throws usage_error where writing it would
  // replace one of `inputs`, or write into one of them that is a folder (those that are not there yet count
  // by their name), where it was opened for another flag, and where its name is too long; failure where it
  // cannot be written.
  OutputFile(std::string flag, std::string path, const std::vector<std::string>& inputs);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  bool wanted() const { return file_.is_open(); }
  std::ostream& stream() { return file_; }
  // The file gets its name, in the place of what was there. Without it, as after an error, nothing has
  // changed. Throws failure where not all of it could be written.
  void close();

 private:
  std::string flag_;
  std::string path_;
  std::filesystem::path target_;   // path_, links resolved
  std::filesystem::path written_;  // a temporary name beside it
  std::ofstream file_;
};

}  // namespace shardrift
