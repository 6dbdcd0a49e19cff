// The experts that tokens go to, of a model with mixtures: brought together on the writing rank pass by pass
// and recorded; or read from another record and given to the forward pass.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "model/forward.hpp"
#include "parallel/transport/mpi_world.hpp"
#include "record/reader.hpp"
#include "worker/prompts.hpp"

namespace shardrift {

// Which of the model's layers are mixtures, ascending.
std::vector<std::int32_t> mixture_layers(const ModelConfig& config);

// Of the tokens that one prompt was fed so far.
struct TokenRoutes {
  std::vector<std::int32_t> experts;  // [positions, mixtures, active]
  std::vector<float> weights;
};

// What the stages of a replica routed in a pass.
class RouteCollector {
 public:
  RouteCollector(const ModelConfig& config, const Plan& plan, const Place& place,
                 const Communicator& replica);
  // Of every pass, in the order they began, by every rank of the replica: stages send theirs.
  void collect(std::int64_t rows, const PassRoutes& mine);
  // On the writing rank: these rows of that pass are the prompt's next; and all of them into its record.
  void append(Range rows, TokenRoutes& to) const;
  void finish(TokenRoutes& of, record::PromptRecord& record) const;

 private:
  const Plan& plan_;
  const Place& place_;
  const Communicator& replica_;
  std::vector<std::int32_t> layers_;
  std::int64_t active_ = 0;
  std::int64_t rows_ = 0;
  std::vector<std::int64_t> stage_mixtures_;  // [stages]
  std::vector<std::int32_t> experts_;         // [mixtures, rows, active]
  std::vector<float> weights_;
};

// --replay-routes: another record's routes, prompt by prompt.
class RouteReplay {
 public:
  // Throws bad_data naming the record and what does not fit: no routes, other layers or experts, a prompt
  // that it lacks or that was fed other tokens.
  RouteReplay(const std::filesystem::path& record, const ModelConfig& config, const std::vector<Job>& jobs);
  const std::string& hash() const { return hash_; }  // SHA-256 of what is replayed

  // Reads a prompt's routes, which are kept until it is closed.
  void open(const std::string& id);
  void close(const std::string& id) { routes_.erase(id); }
  // Adds a pass's row: the token at this position of this prompt. id empty: a row of no prompt.
  void add_row(const std::string& id, std::int64_t position);
  // The rows added, as Pass::routes has them.
  std::vector<std::int32_t> take();

 private:
  struct Row {
    const record::Routes* routes = nullptr;
    std::int64_t position = 0;
  };

  record::Reader reader_;
  std::vector<std::int32_t> layers_;
  std::int64_t active_ = 0;
  std::string hash_;
  std::map<std::string, record::Routes> routes_;
  std::vector<Row> rows_;
};

}  // namespace shardrift
