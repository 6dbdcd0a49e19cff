// A file that is part of the program (shardrift_embed in cmake/Embed.cmake), so that it works wherever it is
// copied.
#pragma once
#include <string_view>

namespace shardrift {

struct EmbeddedFile {
  std::string_view name;  // the file's stem
  std::string_view text;
};

}  // namespace shardrift
