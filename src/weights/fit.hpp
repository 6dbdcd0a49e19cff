// A model's description and the checkpoint beside it, held against each other without reading weights.
#pragma once
#include <string>
#include <vector>

#include "parallel/plan/plan.hpp"
#include "weights/architectures/architecture.hpp"
#include "weights/safetensors.hpp"

namespace shardrift {

struct Fit {
  // Why the checkpoint is not the described model's: tensors that are missing, of another shape or of a dtype
  // that is not computed with (the first of each kind), and tensors of the text model that no part uses.
  std::vector<std::string> problems;
  std::vector<std::string> notes;  // what the user should know: tensors beside the text model, another head
  bool head_of_its_own = false;    // though config.json ties it to the embedding
};

// Looks at names, shapes and dtypes; of weights only at a tied head's, where the checkpoint has one.
Fit fit(const ModelConfig& model, const Checkpoint& checkpoint);
Fit fit(const ModelConfig& model, const Checkpoint& checkpoint, const Architecture& architecture);

// Throws bad_data with the first problem; unties a head that the checkpoint has apart. Returns the notes.
std::vector<std::string> fit_to_checkpoint(ModelConfig& model, const Checkpoint& checkpoint);

// Throws usage_error where the plan asks for what the model has not: experts to deal or to sum.
void require_fits(const Plan& plan, const ModelConfig& model);
// Why decode passes of this model cannot be captured by this plan (plan.hpp, Launch); empty: they can.
std::string why_not_captured(const Plan& plan, const ModelConfig& model);

}  // namespace shardrift
