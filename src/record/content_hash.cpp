#include "record/content_hash.hpp"

#include "common/error.hpp"
#include "common/hash.hpp"
#include "record/schema.hpp"

namespace shardrift::record {
namespace {

// Each value is preceded by its name and size, so that no two contents feed the same bytes.
class Fed {
 public:
  void text(std::string_view name, std::string_view value) {
    hash_.update(fmt::format("{}:{}:", name, value.size()));
    hash_.update(value);
  }
  void number(std::string_view name, std::int64_t value) { text(name, std::to_string(value)); }
  template <typename T>
  void words(std::string_view name, const std::vector<T>& values) {
    hash_.update(fmt::format("{}:{}:", name, values.size()));
    hash_.update(values.data(), values.size() * sizeof(T));
  }
  std::string hex() const { return hash_.hex(); }

 private:
  Sha256 hash_;
};

}  // namespace

std::string content_hash(const PromptRecord& record, std::string_view logits, std::string_view hidden) {
  Fed fed;
  const Prompt& prompt = record.prompt;
  fed.text("id", prompt.id);
  fed.number("index", prompt.index);
  fed.text("source", prompt.source);
  fed.text("text", prompt.text);
  fed.words("tokens", prompt.tokens);
  fed.text("status", record.status);
  fed.text("stop", record.stop);
  fed.text("hash", record.hash);
  fed.text("device", record.device);
  fed.number("replica", record.replica);
  fed.words("input_ids", column(record.rows, &Row::input_id));
  fed.words("positions", column(record.rows, &Row::position));
  fed.words("chosen", column(record.rows, &Row::chosen));
  fed.words("call", column(record.rows, &Row::forward_call));
  fed.words("rows", column(record.rows, &Row::forward_rows));
  fed.words("batch_row", column(record.rows, &Row::batch_row));
  fed.words("phase", column(record.rows, &Row::phase));
  fed.words("seconds", column(record.rows, &Row::seconds));
  for (const auto& id : record.prefilled_with) fed.text("prefilled with", id);
  for (const auto& id : record.decoded_with) fed.text("decoded with", id);
  fed.number("k", record.top.k);
  fed.words("top ids", record.top.ids);
  fed.words("top log_probabilities", record.top.log_probabilities);
  fed.text("logits", logits);
  if (!hidden.empty()) {
    fed.number("streams", record.hidden.streams);
    fed.number("width", record.hidden.width);
    fed.text("hidden dtype", name_of(record.hidden.dtype));
    fed.text("hidden", hidden);
  }
  if (!record.checksums.empty()) {
    for (const auto operation : record.checksums.operations) fed.text("operation", name_of(operation));
    fed.words("checksums", record.checksums.sums);
  }
  if (!record.sketches.empty()) {
    for (const auto operation : record.sketches.operations)
      fed.text("sketched operation", name_of(operation));
    fed.number("sketched shards", record.sketches.shards);
    fed.words("sketches", record.sketches.values);
  }
  if (!record.routes.empty()) {
    fed.words("route layers", record.routes.layers);
    fed.number("route positions", record.routes.positions);
    fed.words("route experts", record.routes.experts);
    fed.words("route weights", record.routes.weights);
  }
  return fed.hex();
}

}  // namespace shardrift::record
