// libsentencepiece and torch's libc10 both define FLAGS_minloglevel, one as an object and one as an int. In
// one scope of symbols libsentencepiece constructs its own in libc10's memory, so it gets a scope of its own
// (RTLD_DEEPBIND).
#include "tokenizer/sentencepiece_library.hpp"

#include <dlfcn.h>

#include <array>
#include <exception>
#include <filesystem>
#include <new>

#include "common/error.hpp"
#include "tokenizer/sentencepiece_functions.hpp"

namespace shardrift {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModule = "shardrift_sentencepiece.so";
#ifdef SHARDRIFT_NO_DEEPBIND  // sanitizers refuse it
constexpr int kScope = RTLD_NOW | RTLD_LOCAL;
#else
constexpr int kScope = RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND;
#endif

// A program with a libstdc++ of its own (linked statically) and libsentencepiece, which uses the shared one,
// mix the two's locales and streams, and die of it ("free(): invalid pointer", seen with Ubuntu 24.04 and
// CUDA 13's image).
void require_shared_standard_library() {
  Dl_info place{};
  if (dladdr(reinterpret_cast<void*>(&std::terminate), &place) == 0 || place.dli_fname == nullptr) return;
  if (fs::path(place.dli_fname).filename().string().starts_with("lib")) return;
  throw failure(
      "tokenizer.model cannot be read here: this program was linked with a libstdc++ of its own ({}), beside "
      "which "
      "libsentencepiece does not work; link the shared one, or give a tokenizer.json",
      place.dli_fname);
}

const SentencePieceFunctions& load_module() {
  require_shared_standard_library();
  std::error_code error;
  const auto folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  // Beside the program; tests lie in tests/ beside bin/.
  for (const auto& file : {folder / kModule, folder.parent_path() / "bin" / kModule}) {
    if (!fs::exists(file, error)) {
      continue;
    }
    void* opened = dlopen(file.c_str(), kScope);
    void* symbol = opened == nullptr ? nullptr : dlsym(opened, kSentencePieceSymbol);
    if (symbol == nullptr) {
      const char* why = dlerror();
      throw failure(
          "{}: cannot be loaded: {}; run scripts/setup, which installs libsentencepiece, and build again",
          file.string(), why == nullptr ? "it is no module of shardrift" : why);
    }
    return *reinterpret_cast<SentencePieceEntry*>(symbol)();
  }
  throw failure(
      "{}: is missing, and tokenizer.model needs it: copy it from build/bin to beside the program, or build "
      "again",
      (folder / kModule).string());
}

const SentencePieceFunctions& library() {
  static const auto& functions = load_module();
  return functions;
}

struct Release {
  void operator()(const SentencePieceResult* result) const { library().release(result); }
};
using Result = std::unique_ptr<const SentencePieceResult, Release>;

Result checked(const SentencePieceResult* result) {
  if (result == nullptr) {
    throw std::bad_alloc();
  }
  return Result(result);
}

}  // namespace

void SentencePieceModel::Close::operator()(SentencePieceHandle* handle) const {
  library().destroy(handle);
}

SentencePieceModel::SentencePieceModel(std::string_view bytes, std::string where)
    : where_(std::move(where)), handle_(library().create()) {
  if (!handle_) {
    throw std::bad_alloc();
  }
  const auto result = checked(library().load(handle_.get(), bytes.data(), bytes.size()));
  if (result->error != nullptr) {
    throw bad_data("{}: libsentencepiece cannot read it: {}", where_, result->error);
  }
}

std::vector<int> SentencePieceModel::encode(std::string_view text) const {
  const auto result = checked(library().encode(handle_.get(), text.data(), text.size()));
  if (result->error != nullptr) {
    throw bad_data("{}: a text of {} bytes cannot be encoded: {}", where_, text.size(), result->error);
  }
  return {result->ids, result->ids + result->id_count};
}

std::string SentencePieceModel::decode(const std::vector<int>& ids) const {
  const auto result = checked(library().decode(handle_.get(), ids.data(), ids.size()));
  if (result->error != nullptr) {
    throw bad_data("{}: {} tokens cannot be decoded: {}", where_, ids.size(), result->error);
  }
  return {result->text, result->text_size};
}

std::string SentencePieceModel::piece(int id) const {
  const auto result = checked(library().piece(handle_.get(), id));
  if (result->error != nullptr) {
    throw bad_data("{}: piece {} cannot be read: {}", where_, id, result->error);
  }
  return {result->text, result->text_size};
}

int SentencePieceModel::id_of(std::string_view piece) const {
  return library().id_of(handle_.get(), piece.data(), piece.size());
}
bool SentencePieceModel::is_byte(int id) const {
  return library().is_byte(handle_.get(), id) != 0;
}
int SentencePieceModel::size() const {
  return library().size(handle_.get());
}
int SentencePieceModel::bos_id() const {
  return library().bos_id(handle_.get());
}
int SentencePieceModel::eos_id() const {
  return library().eos_id(handle_.get());
}
int SentencePieceModel::unk_id() const {
  return library().unk_id(handle_.get());
}

}  // namespace shardrift
