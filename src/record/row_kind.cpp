#include "record/row_kind.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/argmax.hpp"
#include "record/logits_rows.hpp"

namespace shardrift::record {
namespace {

// Of sums of a row that a program made in float32.
constexpr double kSum = 1e-4;

// Half the distance of 1 and the next number: what one rounding moves a number by, of its size.
double rounding(DType dtype) {
  switch (storage_of(dtype)) {
    case DType::float64:
      return 0x1p-53;
    case DType::float16:
      return 0x1p-11;
    case DType::bfloat16:
      return 0x1p-8;  // twice that: some programs cut float32 off
    default:
      return 0x1p-24;
  }
}

template <typename Word, typename Widen>
void widen(std::span<const std::byte> row, std::vector<double>& out, Widen&& number) {
  out.resize(row.size() / sizeof(Word));
  for (std::size_t i = 0; i < out.size(); ++i) {
    Word word{};
    std::memcpy(&word, row.data() + i * sizeof(Word), sizeof(Word));
    out[i] = static_cast<double>(number(word));
  }
}

void widen(std::span<const std::byte> row, DType dtype, std::vector<double>& out) {
  switch (storage_of(dtype)) {
    case DType::float64:
      return widen<double>(row, out, [](double value) { return value; });
    case DType::float16:
      return widen<std::uint16_t>(row, out, float_from_float16);
    case DType::bfloat16:
      return widen<std::uint16_t>(row, out, float_from_bfloat16);
    default:
      return widen<float>(row, out, [](float value) { return value; });
  }
}

bool are_probabilities(const std::vector<double>& row, DType dtype) {
  const double each = rounding(dtype);
  // float16 also loses what is smaller than its least number.
  const double lost = storage_of(dtype) == DType::float16 ? static_cast<double>(row.size()) * 0x1p-25 : 0.0;
  double sum = 0;
  for (const double value : row) {
    if (value < 0 || value > 1 + kSum) return false;
    sum += value;
  }
  return std::fabs(sum - 1) <= kSum + 2 * each + lost;
}

bool are_log_probabilities(const std::vector<double>& row, DType dtype) {
  if (*std::max_element(row.begin(), row.end()) > kSum) return false;
  double sum = 0;
  double rounded = 0;  // by how much the sum moves where each logarithm moves by its rounding
  for (const double value : row) {
    const double probability = std::exp(value);
    sum += probability;
    rounded += probability * std::fabs(value);
  }
  return std::fabs(sum - 1) <= kSum + 2 * rounding(dtype) * rounded;
}

}  // namespace

void KindOfRows::add(std::span<const std::byte> row) {
  if (kind_ == RowKind::logits) return;
  widen(row, dtype_, values_);
  const bool some = values_.size() > 1;  // a vocabulary of one has one distribution
  if (some && kind_ != RowKind::log_probabilities && are_probabilities(values_, dtype_)) {
    kind_ = RowKind::probabilities;
    spread_ = spread_ || std::any_of(values_.begin(), values_.end(),
                                     [](double value) { return value > 0 && value < 1; });
  } else if (some && kind_ != RowKind::probabilities && are_log_probabilities(values_, dtype_)) {
    kind_ = RowKind::log_probabilities;
  } else {
    kind_ = RowKind::logits;
  }
}

RowKind KindOfRows::kind() const {
  const auto kind = kind_.value_or(RowKind::logits);
  return kind == RowKind::probabilities && !spread_ ? RowKind::logits : kind;
}

bool holds_probabilities(const Reader& reader, const std::vector<std::string>& prompts) {
  const DType dtype = reader.run().logits_dtype;
  KindOfRows kinds(dtype);
  std::vector<std::byte> words;
  for (const auto& id : prompts) {
    if (!reader.has_logits(id)) continue;
    const auto rows = LogitsRows::open(reader, id);
    for (std::int64_t row = 0; row < rows.rows(); ++row) {
      rows.read(row, row + 1, words);
      if (!choose(words, dtype).finite) continue;
      kinds.add(words);
      if (kinds.is_settled()) return false;
    }
  }
  return kinds.kind() == RowKind::probabilities;
}

}  // namespace shardrift::record
