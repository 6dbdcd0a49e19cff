// shardrift_sentencepiece.so: all that links libsentencepiece. sentencepiece_library.cpp loads it and says
// why.
#include <sentencepiece_processor.h>

#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/sentencepiece_functions.hpp"

namespace shardrift {

struct SentencePieceHandle {
  sentencepiece::SentencePieceProcessor model;
};

namespace {

struct Result : SentencePieceResult {
  std::string own_error;
  std::string own_text;
  std::vector<int> own_ids;
};

// What `make` leaves in a result, or why it does not.
template <typename Make>
const SentencePieceResult* result_of(Make&& make) noexcept {
  try {
    auto result = std::make_unique<Result>();
    try {
      const sentencepiece::util::Status status = make(*result);
      if (!status.ok()) {
        result->own_error = status.error_message();
        result->error = result->own_error.c_str();
      }
    } catch (const std::bad_alloc&) {
      return nullptr;
    } catch (const std::exception& error) {
      result->own_error = error.what();
      result->error = result->own_error.c_str();
    }
    result->ids = result->own_ids.data();
    result->id_count = result->own_ids.size();
    result->text = result->own_text.data();
    result->text_size = result->own_text.size();
    return result.release();
  } catch (...) {
    return nullptr;
  }
}

// A program that names std::cerr holds the one that is constructed, and RTLD_DEEPBIND leads libsentencepiece,
// which writes there, to the other one, which is zeros: it becomes a stream that goes nowhere.
void construct(std::ostream& stream) {
  static constexpr char kZeros[sizeof(std::ostream)] = {};
  if (std::memcmp(static_cast<const void*>(&stream), kZeros, sizeof(std::ostream)) == 0) {
    new (&stream) std::ostream(nullptr);
  }
}

constexpr SentencePieceFunctions kFunctions = {
    .create = []() noexcept -> SentencePieceHandle* {
      try {
        construct(std::cerr);
        construct(std::cout);
        return new SentencePieceHandle;
      } catch (...) {
        return nullptr;
      }
    },
    .destroy = [](SentencePieceHandle* handle) noexcept { delete handle; },
    .release = [](const SentencePieceResult* result) noexcept { delete static_cast<const Result*>(result); },
    .load =
        [](SentencePieceHandle* handle, const char* bytes, std::size_t count) noexcept {
          return result_of(
              [&](Result&) { return handle->model.LoadFromSerializedProto(std::string_view(bytes, count)); });
        },
    .encode =
        [](const SentencePieceHandle* handle, const char* text, std::size_t size) noexcept {
          return result_of([&](Result& result) {
            return handle->model.Encode(std::string_view(text, size), &result.own_ids);
          });
        },
    .decode =
        [](const SentencePieceHandle* handle, const int* ids, std::size_t count) noexcept {
          return result_of([&](Result& result) {
            return handle->model.Decode(std::vector<int>(ids, ids + count), &result.own_text);
          });
        },
    .piece =
        [](const SentencePieceHandle* handle, int id) noexcept {
          return result_of([&](Result& result) {
            result.own_text = handle->model.IdToPiece(id);
            return sentencepiece::util::Status();
          });
        },
    .id_of = [](const SentencePieceHandle* handle, const char* piece,
                std::size_t size) noexcept { return handle->model.PieceToId(std::string_view(piece, size)); },
    .is_byte = [](const SentencePieceHandle* handle,
                  int id) noexcept { return static_cast<int>(handle->model.IsByte(id)); },
    .size = [](const SentencePieceHandle* handle) noexcept { return handle->model.GetPieceSize(); },
    .bos_id = [](const SentencePieceHandle* handle) noexcept { return handle->model.bos_id(); },
    .eos_id = [](const SentencePieceHandle* handle) noexcept { return handle->model.eos_id(); },
    .unk_id = [](const SentencePieceHandle* handle) noexcept { return handle->model.unk_id(); },
};

}  // namespace

extern "C" [[gnu::visibility("default")]] const SentencePieceFunctions* shardrift_sentencepiece() {
  return &kFunctions;
}

}  // namespace shardrift
