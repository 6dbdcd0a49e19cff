// One run writes an output at a time.
#pragma once
#include <filesystem>
#include <string>

namespace shardrift::record {

// OUT.h5.lock, locked for as long as this object or its process lives, and naming its owner. The file stays:
// a lock on a file that others remove and make anew would be a lock on nothing.
//
// Some file systems grant the lock on two nodes at once (Lustre with localflock, NFS with nolock). So the
// file's text is the owner's, with a token drawn anew each time: whoever came later stands in it, and the
// earlier one, who looks before each file it finishes (require_owner), ends. Where there are no locks at all,
// the text alone decides: an owner of this host may be seen to have ended, one of another host may not.
class OutputLock {
 public:
  // Throws usage_error where another run holds it, naming its process and host; and where that cannot be
  // known and `accept_unknown` does not accept it. Throws failure where the file cannot be made.
  explicit OutputLock(const std::filesystem::path& output, bool accept_unknown = false);
  ~OutputLock();
  OutputLock(const OutputLock&) = delete;
  OutputLock& operator=(const OutputLock&) = delete;
  const std::string& token() const { return token_; }

 private:
  int descriptor_ = -1;
  std::filesystem::path path_;
  std::string token_;
};

// The process on this host that writes the output now; 0: none does, or one of another host.
int writer_here(const std::filesystem::path& output);

// Throws failure where another run has taken the output over. An empty token asks for nothing.
void require_owner(const std::filesystem::path& output, const std::string& token);

}  // namespace shardrift::record
