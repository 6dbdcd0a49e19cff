// libsentencepiece beside torch's libc10, which has a global FLAGS_minloglevel too
// (sentencepiece_library.cpp).
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <link.h>

#include <cstdio>
#include <iostream>

#include "common/error.hpp"
#include "tokenizer/sentencepiece_functions.hpp"
#include "tokenizer_files.hpp"

namespace shardrift {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kLibrary = "libsentencepiece.so.0";
constexpr const char* kFlag = "FLAGS_minloglevel";

// Bytes from where the library has its flag.
std::string bytes_of_flag(void* library, std::size_t count) {
  const auto* flag = static_cast<const char*>(dlsym(library, kFlag));
  return flag == nullptr ? std::string() : std::string(flag, count);
}

std::size_t size_of_flag(void* library) {
  Dl_info info;
  const ElfW(Sym)* symbol = nullptr;
  void* flag = dlsym(library, kFlag);
  if (flag == nullptr ||
      dladdr1(flag, &info, reinterpret_cast<void**>(const_cast<ElfW(Sym)**>(&symbol)), RTLD_DL_SYMENT) == 0) {
    return 0;
  }
  return symbol->st_size;
}

TEST(SentencePieceScope, TheFlagOfC10KeepsItsBytes) {
  ASSERT_EQ(dlopen(kLibrary, RTLD_NOW | RTLD_NOLOAD), nullptr) << "loaded before a tokenizer.model is opened";
  void* c10 = dlopen(SHARDRIFT_LIBC10, RTLD_NOW | RTLD_GLOBAL);  // the scope of programs that link it
  ASSERT_NE(c10, nullptr) << dlerror();
  constexpr std::size_t kBytes = 32;  // of the larger flag
  const auto before = bytes_of_flag(c10, kBytes);
  ASSERT_EQ(before.size(), kBytes);
  const auto tokenizer = Tokenizer::open(fixture("sentencepiece.model"));
  EXPECT_FALSE(tokenizer.encode("a text").empty());
  EXPECT_EQ(bytes_of_flag(c10, kBytes), before);
  void* library = dlopen(kLibrary, RTLD_NOW | RTLD_NOLOAD);
  ASSERT_NE(library, nullptr);
  EXPECT_GT(size_of_flag(library), size_of_flag(c10)) << "the two are no longer of one name";
}

// This program has the one std::cerr that is constructed, because it names it.
TEST(SentencePieceScope, WhatTheLibrarySaysGoesSomewhere) {
  std::cerr.flush();
  void* opened =
      dlopen(SHARDRIFT_BINARY_DIR "/bin/shardrift_sentencepiece.so", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  ASSERT_NE(opened, nullptr) << dlerror();
  void* symbol = dlsym(opened, kSentencePieceSymbol);
  ASSERT_NE(symbol, nullptr);
  const auto& functions = *reinterpret_cast<SentencePieceEntry*>(symbol)();
  auto* handle = functions.create();
  ASSERT_NE(handle, nullptr);
  EXPECT_EQ(functions.size(handle), 0);  // "Model is not initialized", on std::cerr
  const auto* refused = functions.load(handle, "no model", 8);
  ASSERT_NE(refused, nullptr);
  EXPECT_NE(refused->error, nullptr);
  functions.release(refused);
  functions.destroy(handle);
}

// This program with other arguments, elsewhere.
TEST(SentencePieceScope, WithoutTheModuleTheErrorNamesIt) {
  const TemporaryFolder folder;
  const auto program = folder.path() / "program";
  fs::copy_file("/proc/self/exe", program);
  const auto run = [&] {
    const auto output = folder.path() / "output";
    const auto command =
        program.string() + " --open " + fixture("sentencepiece.model").string() + " >" + output.string();
    const int status = std::system(command.c_str());
    std::ifstream file(output);
    return std::to_string(WEXITSTATUS(status)) + " " + std::string(std::istreambuf_iterator<char>(file), {});
  };
  const auto module = (folder.path() / "shardrift_sentencepiece.so").string();
  const auto missing = run();
  EXPECT_THAT(missing, HasSubstr("70 " + module + ": is missing"));
  EXPECT_THAT(missing, HasSubstr("copy it from build/bin"));
  std::ofstream(module) << "no library";
  EXPECT_THAT(run(), HasSubstr("70 " + module + ": cannot be loaded: "));
  fs::copy_file(SHARDRIFT_BINARY_DIR "/bin/shardrift_sentencepiece.so", module,
                fs::copy_options::overwrite_existing);
  EXPECT_EQ(run(), "0 ");
}

}  // namespace
}  // namespace shardrift

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "--open") {
    try {
      shardrift::Tokenizer::open(argv[2]);
      return 0;
    } catch (const shardrift::Error& error) {
      std::puts(error.what());
      return static_cast<int>(error.code());
    }
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
