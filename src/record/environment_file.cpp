#include "record/environment_file.hpp"

#include "common/error.hpp"
#include "record/files.hpp"
#include "record/hdf5_write.hpp"
#include "record/part_file.hpp"

namespace shardrift::record {

void write_environment_file(const EnvironmentFile& file, const std::filesystem::path& path, bool overwrite) {
  if (!overwrite && is_there(path))
    throw usage_error("{}: already exists; use --overwrite to replace it", path.string());
  write_durably(path, [&](hid_t root) {
    write_schema(root);
    h5::write_attribute(root, "description", "what shardrift-run probe found (docs/file-format.md)");
    h5::write_attribute(root, "status", "environment");
    h5::write_attribute(root, "created", file.created);
    h5::write_attribute(root, "command", file.command);
    h5::write_attribute(root, "version", file.version);
    write_environment(root, file.environment);
  });
}

EnvironmentFile read_environment_file(const std::filesystem::path& path) {
  return reading(path, [&] {
    const auto open = open_record_file(path);
    return EnvironmentFile{open.root.text("created"), open.root.text("command"), open.root.text("version"),
                           read_environment(open.root.group("environment"))};
  });
}

}  // namespace shardrift::record
