#include "worker/hold.hpp"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string_view>
#include <thread>

#include "common/error.hpp"
#include "common/progress.hpp"
#include "common/system_reason.hpp"

namespace shardrift {
namespace {

namespace fs = std::filesystem;

constexpr const char* kVariable = "SHARDRIFT_HOLD";
constexpr auto kPoll = std::chrono::milliseconds(2);

fs::path beside(const fs::path& output, const char* ending) {
  return output.string() + ending;
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// False: asked to stop before it was there. As a file that may come at any time, or as a device that hangs.
bool wait_for(const fs::path& path, const std::atomic<bool>& stop, bool hung = false) {
  const progress::Waiting waiting(hung ? progress::On::device : progress::On::input, kVariable);
  while (!is_there(path)) {
    if (stop) return false;
    std::this_thread::sleep_for(kPoll);
  }
  return true;
}

constexpr std::string_view kHung = ":hung";

// The count of "NAME:COUNT" where it names this run, else 0.
int count_for(std::string_view item, const std::string& name) {
  const auto colon = item.rfind(':');
  const auto digits = colon == std::string_view::npos ? std::string_view() : item.substr(colon + 1);
  int count = 0;
  const auto* end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, count);
  if (read.ec != std::errc() || read.ptr != end || count < 1)
    throw usage_error("{}: '{}' is no NAME:COUNT with a count from 1 on", kVariable, item);
  return item.substr(0, colon) == name ? count : 0;
}

// With its content or not at all. False: it is there already.
bool make_held(const fs::path& held) {
  const fs::path written = held.string() + "." + std::to_string(getpid());
  std::ofstream(written) << getpid() << "\n";
  const int error = link(written.c_str(), held.c_str()) == 0 ? 0 : errno;
  unlink(written.c_str());
  if (error != 0 && error != EEXIST)
    throw failure("{}: cannot be made: {}", held.string(), system_reason(error));
  return error == 0;
}

}  // namespace

Hold::Hold(const fs::path& output) : output_(output) {
  const char* text = std::getenv(kVariable);
  if (text == nullptr) return;
  for (std::string_view rest = text; !rest.empty();) {
    const auto comma = rest.find(',');
    auto item = rest.substr(0, comma);
    const bool hung = item.ends_with(kHung);
    if (hung) item.remove_suffix(kHung.size());
    if (const int count = count_for(item, output.stem().string()); count > 0) {
      left_ = count;
      hung_ = hung;
    }
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
}

void Hold::after(const std::string& prompt, const std::atomic<bool>& stop) {
  if (left_ == 0 || --left_ > 0) return;
  if (!wait_for(beside(output_, ".parts") / (prompt + ".h5"), stop)) return;
  hold(stop);
}

void Hold::here(const std::atomic<bool>& stop) {
  if (left_ > 0 && --left_ == 0) hold(stop);
}

void Hold::hold(const std::atomic<bool>& stop) const {
  if (make_held(beside(output_, ".held"))) wait_for(beside(output_, ".go"), stop, hung_);
}

}  // namespace shardrift
