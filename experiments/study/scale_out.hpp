// "What will change when I go to four?", as a study that no file describes: what `shardrift scale-out` runs.
#pragma once
#include <filesystem>
#include <string>

#include "experiments/study/machine.hpp"
#include "experiments/study/study.hpp"
#include "parallel/reduction/collective.hpp"

namespace shardrift::study {

struct ScaleOutWanted {
  std::filesystem::path model;
  std::filesystem::path prompts;
  std::string dtype;  // empty: the checkpoint's own
  int to = 4;         // devices, 2 to 8
  int max_new_tokens = 32;
  int batch = 8;  // a decode pass reads all weights once, for one prompt or for eight
  // Separated by commas: quantizations of the weights and other dtypes; empty: the other 16-bit dtype.
  std::string yardsticks;
  Collective collective = Collective::library;  // of the several devices
};

// The reference and its repeat; TP = 2 to `to`, live where the machine has the devices; PP = 2 where it has
// two, the control that must be bit-equal; the largest live TP once more as a prediction, which must give its
// bits and so shows whether predictions can be believed here; the yardsticks, on one device, fed the
// reference's tokens. In the order of what they tell, for whoever stops it early: the plan that was asked
// about right after the reference. Throws usage_error.
Study scale_out_study(const ScaleOutWanted& wanted, const Machine& machine);

// The first prompts of a file, taken evenly through it, as text for a file of their own: a look that ends in
// minutes. count: at most that many.
std::string some_prompts(const std::filesystem::path& file, int count);

// The shipped set experiments/prompts/short.jsonl: $SHARDRIFT_PROMPTS, beside the program
// (PREFIX/share/shardrift/prompts), or in the source tree. Throws usage_error where it is nowhere.
std::filesystem::path shipped_prompts();

}  // namespace shardrift::study
