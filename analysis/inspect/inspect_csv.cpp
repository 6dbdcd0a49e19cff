#include <fmt/format.h>

#include "analysis/inspect/inspect_presenters.hpp"
#include "common/csv.hpp"

namespace shardrift::analysis {

void write_inspect_csv(std::ostream& out, const record::Reader& reader) {
  out << "prompt,tokens,steps,stop,replica,logits,checksums,sha256,text\n";
  for (const auto& id : reader.prompt_ids()) {
    const auto prompt = reader.prompt(id);
    out << fmt::format("{},{},{},{},{},{},{},{},{}\n", csv_cell(id), prompt.prompt.tokens.size(),
                       prompt.rows.size(), prompt.stop, prompt.replica, reader.has_logits(id) ? 1 : 0,
                       prompt.checksums.empty() ? 0 : record::point_count(prompt.checksums.layers),
                       prompt.hash, csv_cell(prompt.prompt.text));
  }
}

}  // namespace shardrift::analysis
