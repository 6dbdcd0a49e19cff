#include "record/operations.hpp"

#include <array>

namespace shardrift::record {
namespace {

constexpr std::array<std::string_view, kOperations> kNames{
    "embedding",          "attention_norm", "qkv",
    "query_key_norm",     "rope",           "attention",
    "attention_partials", "attention_sum",  "attention_residual",
    "mlp_norm",           "router",         "gate_up",
    "activation",         "mlp_partials",   "mlp_sum",
    "mlp_residual",       "final_norm",     "logits"};

}  // namespace

std::string_view name_of(Operation operation) {
  return kNames[static_cast<std::size_t>(operation)];
}

Operation operation_at(int i) {
  return static_cast<Operation>(i);
}

std::optional<Operation> operation_from_name(std::string_view name) {
  for (int i = 0; i < kOperations; ++i)
    if (name == name_of(operation_at(i))) return operation_at(i);
  return std::nullopt;
}

std::vector<Operation> first_operations() {
  std::vector<Operation> operations;
  for (int i = 0; i < kOperations; ++i)
    if (operation_at(i) != Operation::query_key_norm && operation_at(i) != Operation::router)
      operations.push_back(operation_at(i));
  return operations;
}

std::int64_t index_of(const Point& point, std::int64_t layers) {
  const auto operation = static_cast<std::int64_t>(point.operation);
  if (point.operation == Operation::embedding) return 0;
  if (in_layer(point.operation)) return operation + point.layer * kLayerOperations;
  return operation + (layers - 1) * kLayerOperations;
}

Point point_at(std::int64_t index, std::int64_t layers) {
  if (index == 0) return {};
  const std::int64_t after = index - 1 - layers * kLayerOperations;
  if (after >= 0) return {operation_at(static_cast<int>(1 + kLayerOperations + after)), 0};
  return {operation_at(static_cast<int>(1 + (index - 1) % kLayerOperations)), (index - 1) / kLayerOperations};
}

}  // namespace shardrift::record
