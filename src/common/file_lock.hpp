// flock(2), with file systems that have no locks told from files that are locked.
#pragma once

namespace shardrift {

enum class Lock {
  taken,        // by this descriptor, until it and its copies are closed
  held,         // by another
  unsupported,  // the file system has no locks; errno says why
  failed,       // errno says why
};
Lock try_lock(int descriptor);  // exclusive, does not wait

}  // namespace shardrift
