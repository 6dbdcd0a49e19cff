#include "model/cuda/profiler_ranges.hpp"

#include <fmt/core.h>

#include <nvtx3/nvToolsExt.h>

#include "common/phase_listener.hpp"

namespace shardrift {
namespace {

nvtxDomainHandle_t g_domain = nullptr;

void begin(const char* what, std::int64_t number) {
  const auto text = number < 0 ? std::string(what) : fmt::format("{} {}", what, number);
  nvtxEventAttributes_t attributes{};
  attributes.version = NVTX_VERSION;
  attributes.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  attributes.messageType = NVTX_MESSAGE_TYPE_ASCII;
  attributes.message.ascii = text.c_str();
  nvtxDomainRangePushEx(g_domain, &attributes);
}

void end() {
  nvtxDomainRangePop(g_domain);
}

}  // namespace

void tell_profiler() {
  g_domain = nvtxDomainCreateA("shardrift");
  if (g_domain != nullptr) progress::listen({begin, end});  // null: no profiler
}

}  // namespace shardrift
