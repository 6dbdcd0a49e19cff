// What one run records, as plain values: the vocabulary shared by writer, reader and analysis (schema 1,
// docs/file-format.md). No torch, no MPI.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/dtype.hpp"
#include "record/operations.hpp"

namespace shardrift::record {

inline constexpr int kSchemaMajor = 1;
// 1: /environment/collectives; 2: hidden, checksums; 3: hashes of weights, tokenizer and prompts' content;
// 4: which prompts shared a pass; 5: routes; 6: what recording cost; 7: parts: numerics; 8: sketches
inline constexpr int kSchemaMinor = 8;

struct DeviceInfo {
  int rank = 0;
  std::string host;
  std::string name;                // "NVIDIA H100 80GB HBM3" or the CPU's model name
  std::string uuid;                // empty on CPUs
  std::string compute_capability;  // "9.0", empty on CPUs
  std::string driver;              // empty on CPUs
};

// What one kind of collective message was seen to do, or is modelled to do.
struct CollectiveSegment {
  std::int64_t begin = 0;  // elements [begin, end) are added by trees[tree]
  std::int64_t end = 0;
  std::int64_t tree = 0;
  bool operator==(const CollectiveSegment&) const = default;
};

struct CollectiveInfo {
  std::string operation;  // all-reduce | reduce-scatter
  std::int64_t count = 0;
  std::string dtype;
  int ranks = 0;
  std::string library;    // nccl | mpi | local
  std::string version;    // "2.28.9", "Open MPI v4.1.4"
  std::string algorithm;  // "ring", "recursive-doubling", …; empty: not known
  std::string protocol;   // NCCL: ll | ll128 | simple; "ll to ll128" where not told apart; else empty
  std::string channels;   // NCCL: "24", "16 to 24"; else empty
  std::string rings;      // "0 1 2 3", one line a channel, or one for all; else empty
  std::string source;     // how segments are known: probed | profile | model
  bool captured = false;  // in a CUDA graph
  std::vector<CollectiveSegment> segments;  // sorted, covering [0, count)
  std::vector<std::string> trees;           // "((1+2)+3)+0" or "not binary"
  bool operator==(const CollectiveInfo&) const = default;
};

struct Environment {
  std::vector<DeviceInfo> devices;  // one a rank, in rank order
  std::map<std::string, std::string>
      libraries;  // "nccl" -> "2.28.9", "torch", "cuda runtime", "mpi", "hdf5", …
  std::map<std::string, std::string>
      variables;                                // NCCL_*, CUDA_*, OMPI_MCA_*, CUBLAS_*, OMP_*, MKL_* as found
  std::map<std::string, std::string> settings;  // matmul backend, math mode, cpu instruction set, threads, …
  std::string topology;                         // text, may be empty
  std::vector<CollectiveInfo> collectives;      // empty in older files and where nothing was probed
};

struct ModelInfo {
  std::string architecture;  // "LlamaForCausalLM"
  std::string dtype;         // the run's
  std::string quantization;  // "none"
  std::string config;        // config.json as read
  std::string identity;      // SHA-256 of config, safetensors headers and sizes
  std::int64_t vocabulary = 0;
  std::vector<std::string> vocab;  // token strings, empty where no prompt had text
  std::string weights;  // hash of every stored byte (weights/weight_hash.hpp); empty: older, not hashed
  std::string generation_config;  // SHA-256 of the file; empty: there is none, or older
  std::string tokenizer;          // ModelFiles::tokenizer, likewise; empty, too, where no prompt had text
};

// Everything known before the first token.
struct RunInfo {
  std::string created;  // ISO 8601, UTC
  std::string command;
  std::string version;  // of shardrift
  std::string plan;     // JSON
  std::string mode;     // greedy | follow | score
  std::string level;    // top | logits | hidden
  std::string prompts_hash;
  std::string resume_key;  // SHA-256 of plan, mode, limits, model identity and prompts: equal keys may resume
  DType logits_dtype = DType::float32;
  Environment environment;
  ModelInfo model;
};

enum class Phase : std::uint8_t { prefill = 0, decode = 1 };

// One recorded row: the logits after one fed token.
struct Row {
  std::int32_t input_id = 0;      // token fed at this row
  std::int32_t position = 0;      // its 0-based position
  std::int32_t chosen = 0;        // argmax of the row, lowest id at ties
  std::int32_t forward_call = 0;  // number of the forward pass in its process
  std::int32_t forward_rows = 0;  // rows in that pass
  std::int32_t batch_row = 0;     // this row's place in it
  Phase phase = Phase::decode;
  double seconds = 0;  // wall time of that pass
};

struct Prompt {
  std::string id;                    // [A-Za-z0-9_-][A-Za-z0-9._-]{0,63}
  std::int64_t index = 0;            // line in the prompts file, from 0
  std::string text;                  // empty where the prompt was given as token ids
  std::string source;                // "text" or "tokens"
  std::vector<std::int32_t> tokens;  // as fed, special tokens included
};

struct Top {  // [steps, k]
  std::int64_t k = 0;
  std::vector<std::int32_t> ids;         // most likely first, lowest id first at ties
  std::vector<float> log_probabilities;  // float64 log-softmax, rounded
};

// The residual stream, at level "hidden".
struct Hidden {
  std::int64_t streams = 0;      // layers + 1: after the embedding, after each layer
  std::int64_t width = 0;        // of the stream: the model's hidden size
  DType dtype = DType::float32;  // the model's, as stored
  std::vector<std::byte> words;  // [streams, rows, width]; empty: not recorded, or not read
  std::int64_t rows() const {
    return streams * width == 0
               ? 0
               : static_cast<std::int64_t>(words.size() / size_of(dtype)) / (streams * width);
  }
};

// The experts that each token went to, of a model with mixtures of experts.
struct Routes {
  std::vector<std::int32_t> layers;   // those with experts, by the model's numbers, ascending
  std::int64_t positions = 0;         // of all fed tokens from 0 on, the prompt's among them
  std::int64_t k = 0;                 // experts a token goes to
  std::vector<std::int32_t> experts;  // [layers, positions, k], ascending within a token
  std::vector<float> weights;         // of their outputs, likewise
  bool empty() const { return experts.empty(); }
  std::size_t at(std::size_t layer, std::int64_t position) const {  // its first expert's index
    return (layer * static_cast<std::size_t>(positions) + static_cast<std::size_t>(position)) *
           static_cast<std::size_t>(k);
  }
  bool operator==(const Routes&) const = default;
};

// One finished prompt. Owns raw little-endian words, never converted.
struct PromptRecord {
  Prompt prompt;
  std::string status = "complete";
  std::string stop;    // eos | length | context | given (score, follow)
  std::string device;  // name and host of the writing rank
  int replica = 0;
  // Ids of the prompts in its prefill pass, in the order of their rows, and of those that it is decoded with,
  // by batch row; itself among them. Empty: it was alone, or has no such rows, or the record is older.
  std::vector<std::string> prefilled_with, decoded_with;
  std::vector<Row> rows;
  std::vector<std::byte> logits;  // rows x vocabulary words of RunInfo::logits_dtype; empty at level "top"
  Top top;
  std::string hash;     // SHA-256 of the logits words (also where they are not recorded)
  std::string content;  // of all of the above and below (content_hash.hpp), as read; empty in older records
  Hidden hidden;        // Reader::prompt() leaves the words out
  Checksums checksums;
  Sketches sketches;  // Reader::prompt() leaves the values out
  Routes routes;      // empty: no mixture, or older
};

// Wall seconds and tokens by phase, of the process that finished the run.
struct RunTiming {
  double load_seconds = 0;
  double prefill_seconds = 0;
  double decode_seconds = 0;
  std::int64_t prefill_tokens = 0;
  std::int64_t decode_tokens = 0;
  double recording_wait_seconds = 0;   // that the computation waited for the recording's room
  double recording_flush_seconds = 0;  // from the last row to the last part on the disk
};

bool valid_id(const std::string& id);

}  // namespace shardrift::record
