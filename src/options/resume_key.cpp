#include "options/resume_key.hpp"

#include "common/field_text.hpp"
#include "common/hash.hpp"
#include "parallel/plan/plan_json.hpp"

namespace shardrift {

std::string resume_key(const RunOptions& options, const ResumeInputs& inputs) {
  std::string text = inputs.version + "|" + plan_to_json(options.plan);
  for_each_field(options, [&](const auto& row, const auto& field) {
    if (row.resume == Resume::same_value && says_something(row, options)) text += "|" + text_of(field);
  });
  text += "|" + inputs.model + "|" + inputs.prompts + "|" + inputs.profile;
  if (!inputs.content.empty()) text += "|" + inputs.content;
  return sha256_hex(text);
}

}  // namespace shardrift
