// Generated rows that stand beside another token than the one that they chose.
#pragma once
#include <cstdint>
#include <optional>

#include "record/record.hpp"

namespace shardrift::record {

// Counts over prompts whose text was generated: is what a row chose the token that the next row was fed, or
// is it nearly never that and nearly always its neighbour? Where the rows were made by another model than the
// tokens, or the tokens were sampled, neither is so.
class ShiftedRows {
 public:
  void add(const PromptRecord& record);

  enum class Chose { token_before, token_after };
  struct Shift {
    Chose chose = Chose::token_before;
    std::int64_t rows = 0;   // looked at: their own token is not that neighbour's, too
    std::int64_t so = 0;     // of these
    std::int64_t right = 0;  // of these, those that chose their token
  };
  std::optional<Shift> shift() const;

 private:
  // Rows whose own token is another than that neighbour.
  struct Side {
    void add(std::int32_t chosen, std::int32_t own, std::int32_t neighbour);
    std::int64_t rows = 0, right = 0, so = 0;
  };
  Side before_, after_;
};

}  // namespace shardrift::record
