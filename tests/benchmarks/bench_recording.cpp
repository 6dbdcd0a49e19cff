// bench_recording DIR DTYPE VOCABULARY ROWS PROMPTS ROUNDS [DEFLATE]: how fast rows of logits reach the disk,
// up to the last part's fsync, beside a plain write and fsync of the same bytes; and the assembly,
// verification included, beside a verified copy: the same bytes read, hashed (XXH3, as seals are), written
// and flushed. In turns; prints each round and the medians of the ratios. Whoever computes the rows is left
// out: they are a few rows again and again. (docs/results/recording.md)
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "record/writer.hpp"
#include "worker/recorder.hpp"

namespace shardrift {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double processor_seconds() {  // of all threads
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Shape {
  DType dtype = DType::float32;
  std::int64_t vocabulary = 0;
  int rows = 0;
  int prompts = 0;
  int deflate = 0;
  std::size_t row_bytes() const { return static_cast<std::size_t>(vocabulary) * size_of(dtype); }
  std::size_t bytes() const {
    return row_bytes() * static_cast<std::size_t>(rows) * static_cast<std::size_t>(prompts);
  }
};

// Logits as of a language model: normal with deviation 3. A few rows, taken in turns.
std::vector<std::byte> some_rows(const Shape& shape, int rows) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 3);
  std::vector<std::byte> words(shape.row_bytes() * static_cast<std::size_t>(rows));
  for (std::size_t i = 0; i < words.size(); i += size_of(shape.dtype)) {
    const float value = normal(random);
    const double wide = value;
    const auto bits = shape.dtype == DType::float16 ? float16_from_float(value) : bfloat16_from_float(value);
    if (shape.dtype == DType::float64)
      std::memcpy(&words[i], &wide, sizeof(wide));
    else if (shape.dtype == DType::float32)
      std::memcpy(&words[i], &value, sizeof(value));
    else
      std::memcpy(&words[i], &bits, sizeof(bits));
  }
  return words;
}

void require(bool good, const char* what) {
  if (!good) throw failure("{}: {}", what, std::strerror(errno));
}

double raw_write(const fs::path& path, const Shape& shape, const std::vector<std::byte>& rows) {
  const auto begin = Clock::now();
  const int file = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  require(file >= 0, "open");
  for (std::size_t left = shape.bytes(); left > 0;) {
    const auto put = ::write(file, rows.data(), std::min(left, rows.size()));
    require(put > 0, "write");
    left -= static_cast<std::size_t>(put);
  }
  require(::fsync(file) == 0, "fsync");
  ::close(file);
  return seconds_since(begin);
}

double verified_copy(const fs::path& from, const fs::path& to) {
  const auto begin = Clock::now();
  const int in = ::open(from.c_str(), O_RDONLY | O_CLOEXEC);
  const int out = ::open(to.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  require(in >= 0 && out >= 0, "open");
  std::vector<char> block(std::size_t{4} << 20U);
  XXH3_state_t* const state = XXH3_createState();
  XXH3_128bits_reset(state);
  for (ssize_t got = 0; (got = ::read(in, block.data(), block.size())) > 0;) {
    XXH3_128bits_update(state, block.data(), static_cast<std::size_t>(got));
    require(::write(out, block.data(), static_cast<std::size_t>(got)) == got, "write");
  }
  require(XXH3_128bits_digest(state).low64 != 0, "hash");
  XXH3_freeState(state);
  require(::fsync(out) == 0, "fsync");
  ::close(in);
  ::close(out);
  return seconds_since(begin);
}

record::RunInfo run_of(const Shape& shape) {
  record::RunInfo run;
  run.created = "2026-01-01T00:00:00Z";
  run.plan = R"({"shards":1,"tensor_parallel":1})";
  run.mode = "score";
  run.level = "logits";
  run.resume_key = "bench";
  run.logits_dtype = shape.dtype;
  run.model.dtype = std::string(name_of(shape.dtype));
  run.model.config = "{}";
  run.model.vocabulary = shape.vocabulary;
  return run;
}

struct Round {
  double raw_processor = 0, processor = 0;
  double raw = 0, recorded = 0, last = 0, waited = 0, assembled = 0, copied = 0;
};

Round round_of(const fs::path& directory, const Shape& shape, const std::vector<std::byte>& rows) {
  Round round;
  const fs::path raw = directory / "raw.bin", copy = directory / "copy.bin";
  const double before = processor_seconds();
  round.raw = raw_write(raw, shape, rows);
  round.raw_processor = processor_seconds() - before;
  fs::remove(raw);
  const auto run = run_of(shape);
  const record::WriterOptions options{directory / "bench.h5", true, shape.deflate};
  prepare_output(options, run);
  const double before_recording = processor_seconds();
  const auto begin = Clock::now();
  {
    Recorder recorder(options, run, 10, true);
    const int there = static_cast<int>(rows.size() / shape.row_bytes());
    for (int p = 0; p < shape.prompts; ++p) {
      record::PromptRecord record;
      record.prompt.id = fmt::format("p{}", p);
      record.prompt.index = p;
      record.prompt.source = "tokens";
      record.stop = "given";
      auto stream = recorder.begin(record.prompt.id, shape.rows);
      for (int row = 0; row < shape.rows; ++row) {
        recorder.append(stream,
                        std::span(rows).subspan(static_cast<std::size_t>(row % there) * shape.row_bytes(),
                                                shape.row_bytes()));
        record.rows.push_back({.input_id = 0, .position = row});
        record.prompt.tokens.push_back(0);
      }
      recorder.add(std::move(record), std::move(stream));
    }
    round.waited = recorder.waited_seconds();
    const auto last = Clock::now();
    recorder.finish();
    round.last = seconds_since(last);
  }
  round.recorded = seconds_since(begin);
  round.processor = processor_seconds() - before_recording;
  const auto assembling = Clock::now();
  if (!missing_prompts(options, run).empty()) throw failure("parts are missing");
  assemble(options, run, {});
  round.assembled = seconds_since(assembling);
  round.copied = verified_copy(options.output, copy);
  fs::remove(copy);
  fs::remove(options.output);
  fs::remove(directory / "bench.h5.lock");
  return round;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace
}  // namespace shardrift

int main(int argc, char** argv) {
  using namespace shardrift;
  if (argc != 7 && argc != 8) {
    std::fprintf(stderr, "usage: bench_recording DIR DTYPE VOCABULARY ROWS PROMPTS ROUNDS [DEFLATE]\n");
    return static_cast<int>(ExitCode::usage);
  }
  try {
    const std::filesystem::path directory = argv[1];
    std::filesystem::create_directories(directory);
    const Shape shape{named<DType>("dtype", argv[2]), std::stoll(argv[3]), std::stoi(argv[4]),
                      std::stoi(argv[5]), argc == 8 ? std::stoi(argv[7]) : 0};
    const auto rows = some_rows(shape, 16);
    std::vector<double> recording, assembly;
    const double megabytes = static_cast<double>(shape.bytes()) / 1e6;
    std::printf(
        "%.0f MB; raw write, recorded: MB/s and processor seconds a GB; s: after the last row, waited for; "
        "MB/s: assembled, copied\n",
        megabytes);
    for (int i = 0; i < std::stoi(argv[6]); ++i) {
      const Round round = round_of(directory, shape, rows);
      std::printf("%8.0f %5.2f %8.0f %5.2f %8.2f %8.2f %8.0f %8.0f\n", megabytes / round.raw,
                  1e3 * round.raw_processor / megabytes, megabytes / round.recorded,
                  1e3 * round.processor / megabytes, round.last, round.waited, megabytes / round.assembled,
                  megabytes / round.copied);
      std::fflush(stdout);
      recording.push_back(round.raw / round.recorded);
      assembly.push_back(round.copied / round.assembled);
    }
    std::printf(
        "medians: recorded at %.2f of the raw write's speed, assembled at %.2f of a verified copy's\n",
        median(recording), median(assembly));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_recording: %s\n", error.what());
    return static_cast<int>(ExitCode::failure);
  }
  return 0;
}
