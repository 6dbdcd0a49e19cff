#include "foreign/llama_cpp_base.hpp"

#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <memory>
#include <string_view>

#include "common/error.hpp"
#include "weights/mapped_file.hpp"

namespace shardrift::foreign {
namespace {

constexpr std::string_view kMagic = "_logits_";
constexpr std::int64_t kMost = 1 << 26;  // of contexts, vocabularies and chunks
constexpr std::size_t kHeader = kMagic.size() + 3 * sizeof(std::int32_t);
constexpr std::size_t kScaleBytes = 2 * sizeof(float);
constexpr float kCodes = 65535;     // the largest code: that of the most likely token
constexpr float kRounding = 1e-2F;  // of sums of a row's exponentials in float32

struct Sizes {
  std::int64_t context = 0;
  std::int64_t vocabulary = 0;
  std::int64_t chunks = 0;
  std::int64_t first() const { return context / 2; }
  std::int64_t rows() const { return context - 1 - first(); }
  std::size_t row_bytes() const {
    return kScaleBytes + sizeof(std::uint16_t) * static_cast<std::size_t>((vocabulary + 1) / 2 * 2);
  }
  std::size_t token_bytes() const {
    return sizeof(std::int32_t) * static_cast<std::size_t>(chunks * context);
  }
};

template <typename T>
T value_at(const MappedFile& file, std::size_t at) {
  T value{};
  std::memcpy(&value, file.data() + at, sizeof(T));
  return value;
}

Sizes read_sizes(const MappedFile& file, const std::string& name) {
  if (file.size() < kHeader)
    throw bad_data("{}: {} bytes, it ends within its header (truncated?)", name, file.size());
  Sizes sizes;
  std::size_t at = kMagic.size();
  for (const auto& [size, what, least] : {std::tuple(&sizes.context, "context n_ctx", 4),
                                          std::tuple(&sizes.vocabulary, "vocabulary n_vocab", 1),
                                          std::tuple(&sizes.chunks, "number of chunks n_chunk", 1)}) {
    *size = value_at<std::int32_t>(file, at);
    at += sizeof(std::int32_t);
    if (*size < least || *size > kMost)
      throw bad_data("{}: a {} of {}: damaged, or not llama.cpp's", name, what, *size);
  }
  // Products of three numbers below 2^26 stay far below 2^63 only two by two.
  const auto wanted = static_cast<double>(kHeader) + static_cast<double>(sizes.token_bytes()) +
                      static_cast<double>(sizes.chunks) * static_cast<double>(sizes.rows()) *
                          static_cast<double>(sizes.row_bytes());
  if (wanted != static_cast<double>(file.size()))
    throw bad_data("{}: {} bytes; {} chunks of {} tokens of a vocabulary of {} take {:.0f} ({})", name,
                   file.size(), sizes.chunks, sizes.context, sizes.vocabulary, wanted,
                   static_cast<double>(file.size()) < wanted
                       ? "cut off before it was finished?"
                       : "longer than that: something was added to it, or it is damaged");
  return sizes;
}

// Rows of one chunk as float32 log-probabilities.
class Chunk {
 public:
  Chunk(std::shared_ptr<const MappedFile> file, const Sizes& sizes, std::size_t begin, std::string where)
      : file_(std::move(file)), sizes_(sizes), begin_(begin), where_(std::move(where)) {}

  void read(std::int64_t begin, std::int64_t end, std::vector<std::byte>& words) const {
    const auto columns = static_cast<std::size_t>(sizes_.vocabulary);
    words.resize(static_cast<std::size_t>(end - begin) * columns * sizeof(float));
    std::vector<std::uint16_t> codes(columns);
    std::vector<float> values(columns);
    for (std::int64_t row = begin; row < end; ++row) {
      const std::size_t at = begin_ + static_cast<std::size_t>(row) * sizes_.row_bytes();
      const auto scale = value_at<float>(*file_, at);
      const auto least = value_at<float>(*file_, at + sizeof(float));
      if (!std::isfinite(scale) || !std::isfinite(least) || scale < 0)
        throw bad_data("{}: row {}: scale {} and least value {} are none: damaged, or the model gave NaN",
                       where_, row, scale, least);
      if (const float most = scale * kCodes + least; !(most <= kRounding))
        throw bad_data(
            "{}: row {}: scale {} and least value {} make a log-probability of {}, more than 0: damaged",
            where_, row, scale, least, most);
      std::memcpy(codes.data(), file_->data() + at + kScaleBytes, columns * sizeof(std::uint16_t));
      for (std::size_t i = 0; i < columns; ++i) values[i] = scale * static_cast<float>(codes[i]) + least;
      std::memcpy(words.data() + static_cast<std::size_t>(row - begin) * columns * sizeof(float),
                  values.data(), columns * sizeof(float));
    }
  }

 private:
  std::shared_ptr<const MappedFile> file_;
  Sizes sizes_;
  std::size_t begin_;
  std::string where_;
};

}  // namespace

bool is_llama_cpp_base(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, kMagic.size()> begin{};
  file.read(begin.data(), begin.size());
  return file.gcount() == static_cast<std::streamsize>(begin.size()) &&
         std::string_view(begin.data(), begin.size()) == kMagic;
}

ForeignRun import_llama_cpp_base(const std::filesystem::path& path, std::optional<std::int32_t> bos) {
  const auto file = std::make_shared<const MappedFile>(path);
  const Sizes sizes = read_sizes(*file, path.string());
  ForeignRun run;
  run.vocabulary = sizes.vocabulary;
  run.scored = true;
  run.settings["logits"] =
      "log-probabilities, rounded to 16 bits from the largest to 16 below it and cut off there (llama.cpp's "
      "--kl-divergence-base): differences below 0.00025 are this format's, and a KL of some thousandths may "
      "be, "
      "from what was cut off";
  if (!bos)
    run.notes.push_back(
        fmt::format("{}: a model whose add_bos is set was fed its BOS token at the start of each chunk, "
                    "which the file does not "
                    "say: give --bos ID then",
                    path.string()));
  if (bos) check_tokens({*bos}, sizes.vocabulary, path.string(), "--bos");
  const std::size_t rows_at = kHeader + sizes.token_bytes();
  for (std::int64_t chunk = 0; chunk < sizes.chunks; ++chunk) {
    ForeignPrompt prompt;
    prompt.where = fmt::format("{}: chunk {}", path.string(), chunk);
    auto& tokens = prompt.record.prompt.tokens;
    for (std::int64_t i = 0; i < sizes.context; ++i)
      tokens.push_back(value_at<std::int32_t>(
          *file, kHeader + sizeof(std::int32_t) * static_cast<std::size_t>(chunk * sizes.context + i)));
    if (bos) tokens.front() = *bos;
    check_tokens(tokens, sizes.vocabulary, prompt.where, "the text");
    prompt.record.prompt.id = fmt::format("chunk{}", chunk);
    prompt.record.prompt.source = "tokens";
    prompt.record.stop = "given";
    prompt.record.rows = rows_of(
        {tokens.begin() + sizes.first(), tokens.begin() + sizes.first() + sizes.rows()}, sizes.first());
    const auto rows =
        std::make_shared<Chunk>(file, sizes,
                                rows_at + static_cast<std::size_t>(chunk) *
                                              static_cast<std::size_t>(sizes.rows()) * sizes.row_bytes(),
                                prompt.where);
    prompt.logits = [rows](std::int64_t begin, std::int64_t end, std::vector<std::byte>& words) {
      rows->read(begin, end, words);
    };
    run.prompts.push_back(std::move(prompt));
  }
  return run;
}

}  // namespace shardrift::foreign
