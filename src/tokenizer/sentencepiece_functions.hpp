// What shardrift_sentencepiece.so gives (sentencepiece_module.cpp): libsentencepiece behind plain functions,
// of bytes and ints alone and without exceptions. sentencepiece_library.hpp is what to use.
#pragma once
#include <cstddef>

namespace shardrift {

struct SentencePieceHandle;  // a model

// The module's memory, until release().
struct SentencePieceResult {
  const char* error = nullptr;  // why there is no result, ended by a zero; null: there is one
  const int* ids = nullptr;
  std::size_t id_count = 0;
  const char* text = nullptr;
  std::size_t text_size = 0;
};

// Where a pointer is returned, null is: out of memory.
struct SentencePieceFunctions {
  SentencePieceHandle* (*create)();
  void (*destroy)(SentencePieceHandle*);
  void (*release)(const SentencePieceResult*);
  const SentencePieceResult* (*load)(SentencePieceHandle*, const char* bytes, std::size_t count);
  // Of a loaded model.
  const SentencePieceResult* (*encode)(const SentencePieceHandle*, const char* text, std::size_t size);
  const SentencePieceResult* (*decode)(const SentencePieceHandle*, const int* ids, std::size_t count);
  const SentencePieceResult* (*piece)(const SentencePieceHandle*, int id);  // 0 <= id < size
  int (*id_of)(const SentencePieceHandle*, const char* piece, std::size_t size);
  int (*is_byte)(const SentencePieceHandle*, int id);
  int (*size)(const SentencePieceHandle*);
  int (*bos_id)(const SentencePieceHandle*);
  int (*eos_id)(const SentencePieceHandle*);
  int (*unk_id)(const SentencePieceHandle*);
};

// The module's one symbol, and its type.
constexpr const char* kSentencePieceSymbol = "shardrift_sentencepiece";
using SentencePieceEntry = const SentencePieceFunctions*();

}  // namespace shardrift
