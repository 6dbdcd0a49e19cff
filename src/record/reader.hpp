// Reading a record: OUT.h5, or OUT.h5.parts/ of a run that was interrupted. Everything in the file is checked
// before it is believed (ranks, sizes, types, link kinds); errors are bad_data naming file and object.
// Bounded memory: logits are read row by row.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "record/identity.hpp"
#include "record/record.hpp"

namespace shardrift::record {

class Reader {
 public:
  // Accepts OUT.h5, or OUT.h5.parts (also when OUT.h5 is named but only its parts exist).
  static Reader open(const std::filesystem::path& path);
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

  const std::filesystem::path& path() const;
  bool complete() const;              // status attribute; parts are partial
  std::int64_t schema_minor() const;  // of the file: newer than kSchemaMinor where a newer version wrote it
  const RunInfo& run() const;
  const RunTiming& timing() const;              // zeros where the file does not say (parts)
  std::vector<std::string> prompt_ids() const;  // by index
  // What results drawn from this file are kept under. nullopt for the parts of a run that has not finished:
  // they still grow.
  std::optional<Identity> identity() const;
  // False once another file, or a changed one, lies under path().
  bool unchanged() const;

  // Everything but the words of logits and hidden states and the values of sketches (which, like top and
  // checksums, may be absent). Throws bad_data if there is no such prompt.
  PromptRecord prompt(const std::string& id) const;
  bool has_logits(const std::string& id) const;
  // Raw stored words of rows [begin, end) of one prompt, vocabulary words each, into `out` (resized).
  void read_logits(const std::string& id, std::int64_t begin, std::int64_t end,
                   std::vector<std::byte>& out) const;
  // Raw stored words of rows [begin, end) of one residual stream of one prompt, Hidden::width words each.
  void read_hidden(const std::string& id, std::int64_t stream, std::int64_t begin, std::int64_t end,
                   std::vector<std::byte>& out) const;
  // With their values; empty where none were recorded.
  Sketches sketches(const std::string& id) const;

 private:
  struct State;
  explicit Reader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace shardrift::record
