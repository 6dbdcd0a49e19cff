#include "foreign/finite_masks.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "weights/convert.hpp"

namespace shardrift::foreign {
namespace {

// Of float16, which ends at -65504, nearly its least number.
double masked_from(DType dtype) {
  return dtype == DType::float16 ? -6e4 : -1e8;
}

}  // namespace

FiniteMasks::FiniteMasks(DType dtype, std::int64_t vocabulary)
    : dtype_(storage_of(dtype)),
      values_(static_cast<std::size_t>(vocabulary)),
      columns_(static_cast<std::size_t>(vocabulary)) {}

void FiniteMasks::add(const std::string& where, std::int64_t row, std::span<const std::byte> words) {
  convert(words.data(), dtype_, reinterpret_cast<std::byte*>(values_.data()), DType::float64, values_.size());
  ++rows_;
  const double least = *std::min_element(values_.begin(), values_.end());
  if (least > masked_from(dtype_)) return;
  for (std::size_t i = 0; i < values_.size(); ++i)
    if (values_[i] <= masked_from(dtype_)) columns_[i] = true;
  lowest_ = std::min(lowest_, least);
  if (masked_rows_++ == 0) first_ = fmt::format("{}, row {}", where, row);
}

std::optional<std::string> FiniteMasks::note() const {
  if (masked_rows_ == 0) return std::nullopt;
  const auto columns = std::count(columns_.begin(), columns_.end(), true);
  return fmt::format(
      "{} of {} columns hold numbers down to {:.3g} in {} of {} rows (first: {}): finite masks. KL, "
      "probabilities and choices are as good as without; max|Δ|, RMS and ULP mean nothing beside a record "
      "that masks other columns, or by another number",
      columns, columns_.size(), lowest_, masked_rows_, rows_, first_);
}

}  // namespace shardrift::foreign
