#include "weights/codings/scaled_codes.hpp"

#include <algorithm>

#include "weights/codings/numbers.hpp"

namespace shardrift {
namespace {

template <typename Rounding>
class RowDecoder {
 public:
  using Word = typename Rounding::Word;

  explicit RowDecoder(const ScaledCodes& matrix)
      : matrix_(matrix),
        scales_(static_cast<std::size_t>(matrix.groups)),
        zeros_(static_cast<std::size_t>(matrix.groups)),
        // Where a group has fewer columns than there are codes, a table takes longer than it saves.
        by_table_((matrix.groups << matrix.bits) <= matrix.cols) {
    if (by_table_) table_.resize(static_cast<std::size_t>(matrix.groups) << matrix.bits);
  }

  void decode(std::int64_t row, const std::uint8_t* codes, Word* out) {
    std::fill(zeros_.begin(), zeros_.end(), 0);
    matrix_.groups_of_row(row, scales_.data(), zeros_.data());
    if (by_table_) fill_table();
    if (!matrix_.group_of.empty()) return decode_scattered(codes, out);
    std::int64_t begin = 0;
    for (std::size_t group = 0; begin < matrix_.cols; ++group) {
      const std::int64_t end = std::min(begin + matrix_.group_size, matrix_.cols);
      if (by_table_) {
        const Word* table = table_.data() + (group << matrix_.bits);
        for (std::int64_t col = begin; col < end; ++col) out[col] = table[codes[col]];
      } else {
        for (std::int64_t col = begin; col < end; ++col) out[col] = word(codes[col], group);
      }
      begin = end;
    }
  }

 private:
  Word word(std::uint8_t code, std::size_t group) const {
    const float value = matrix_.values != nullptr
                            ? matrix_.values[code]
                            : static_cast<float>(static_cast<std::int32_t>(code) - zeros_[group]);
    return Rounding::from(value * scales_[group]);
  }

  void fill_table() {
    const std::size_t codes = std::size_t{1} << matrix_.bits;
    for (std::size_t group = 0; group < scales_.size(); ++group)
      for (std::size_t code = 0; code < codes; ++code)
        table_[(group << matrix_.bits) + code] = word(static_cast<std::uint8_t>(code), group);
  }

  void decode_scattered(const std::uint8_t* codes, Word* out) const {
    for (std::size_t col = 0; col < matrix_.group_of.size(); ++col) {
      const auto group = static_cast<std::size_t>(matrix_.group_of[col]);
      out[col] = by_table_ ? table_[(group << matrix_.bits) + codes[col]] : word(codes[col], group);
    }
  }

  const ScaledCodes& matrix_;
  std::vector<float> scales_;
  std::vector<std::int32_t> zeros_;
  bool by_table_;
  std::vector<Word> table_;  // of each group, what each code becomes
};

}  // namespace

void decode(const ScaledCodes& matrix, Range rows, std::byte* out) {
  with_rounding(matrix.dtype, [&]<typename Rounding>(Rounding) {
    RowDecoder<Rounding> decoder(matrix);
    auto* words = reinterpret_cast<typename Rounding::Word*>(out);
    const auto cols = static_cast<std::size_t>(matrix.cols);
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(std::min(rows.size(), kTileRows)) * cols);
    for (std::int64_t begin = rows.begin; begin < rows.end;) {
      const std::int64_t end = std::min(begin / kTileRows * kTileRows + kTileRows, rows.end);
      matrix.unpack({begin, end}, codes.data());
      const std::uint8_t* row_codes = codes.data();
      for (; begin < end; ++begin, row_codes += cols, words += cols) decoder.decode(begin, row_codes, words);
    }
  });
}

void unpack_words(const std::byte* words, std::int64_t stride, int bits, std::int64_t first,
                  std::int64_t count, std::uint8_t* codes) {
  const std::uint32_t mask = (1U << bits) - 1;
  const auto word = [&](std::int64_t index) {
    return std::uint64_t{word_at<std::uint32_t>(words, static_cast<std::size_t>(index * stride))};
  };
  std::int64_t bit = first * bits;
  for (std::int64_t i = 0; i < count;) {
    const std::int64_t index = bit / 32;
    int at = static_cast<int>(bit % 32);
    std::uint64_t window = word(index);
    // The word's codes, the last of which may go on in the next word (3 bits).
    for (; at < 32 && i < count; at += bits, bit += bits, ++i) {
      if (at + bits > 32) window |= word(index + 1) << 32;
      codes[i] = static_cast<std::uint8_t>((window >> at) & mask);
    }
  }
}

}  // namespace shardrift
