// libsentencepiece's model, through shardrift_sentencepiece.so beside the program.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace shardrift {

struct SentencePieceHandle;

class SentencePieceModel {
 public:
  // Throws bad_data starting with `where`, failure where libsentencepiece cannot be loaded.
  SentencePieceModel(std::string_view bytes, std::string where);

  std::vector<int> encode(std::string_view text) const;
  std::string decode(const std::vector<int>& ids) const;
  std::string piece(int id) const;          // 0 <= id < size()
  int id_of(std::string_view piece) const;  // the unknown piece's where there is no such one
  bool is_byte(int id) const;
  int size() const;
  // -1: there is none.
  int bos_id() const;
  int eos_id() const;
  int unk_id() const;

 private:
  struct Close {
    void operator()(SentencePieceHandle* handle) const;
  };
  std::string where_;
  std::unique_ptr<SentencePieceHandle, Close> handle_;
};

}  // namespace shardrift
