#include "weights/fit.hpp"

#include "weight_files.hpp"

namespace shardrift {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Two layers of Llama whose matrices are vectors of one byte's worth: only names and the head's bytes are
// looked at.
ModelConfig tied() {
  ModelConfig model;
  model.architecture = "LlamaForCausalLM";
  model.hidden = 2;
  model.layers = 2;
  model.vocabulary = 3;
  model.tied_head = true;
  model.specs.resize(2);
  return model;
}

struct Tensor {
  std::string name, shape, bytes;
};

std::vector<std::string> notes_of(ModelConfig& model, std::vector<Tensor> tensors) {
  const TemporaryDirectory folder;
  std::string header = "{", data;
  for (const auto& tensor : tensors) {
    header += fmt::format(R"({}"{}": {{"dtype": "F32", "shape": {}, "data_offsets": [{}, {}]}})",
                          header.size() == 1 ? "" : ", ", tensor.name, tensor.shape, data.size(),
                          data.size() + tensor.bytes.size());
    data += tensor.bytes;
  }
  folder.write("model.safetensors", safetensors(header + "}", data));
  const auto checkpoint = Checkpoint::open(folder.path());
  auto notes = fit_to_checkpoint(model, checkpoint);
  for (auto& note : notes) {
    EXPECT_THAT(note, testing::StartsWith(folder.path().string() + ": "));
    note = note.substr(folder.path().string().size() + 2);
  }
  return notes;
}

const Tensor kEmbedding{"model.embed_tokens.weight", "[3, 2]", counting(24)};
const std::string kOther(24, 'x');

TEST(Fit, ATiedHeadStaysTiedWithoutOneOfItsOwnOrBesideTheSame) {
  auto model = tied();
  EXPECT_THAT(notes_of(model, {kEmbedding}), IsEmpty());
  EXPECT_THAT(notes_of(model, {kEmbedding, {"lm_head.weight", "[3, 2]", counting(24)}}), IsEmpty());
  EXPECT_TRUE(model.tied_head);
}

TEST(Fit, AnotherHeadIsBelievedOverTheFlag) {
  auto model = tied();
  EXPECT_THAT(notes_of(model, {kEmbedding, {"lm_head.weight", "[3, 2]", kOther}}),
              ElementsAre(AllOf(HasSubstr("tie_word_embeddings"), HasSubstr("lm_head.weight"),
                                HasSubstr("it is used"))));
  EXPECT_FALSE(model.tied_head);
  // Where the flag says so there is nothing to tell.
  EXPECT_THAT(notes_of(model, {kEmbedding, {"lm_head.weight", "[3, 2]", kOther}}), IsEmpty());
}

TEST(Fit, AHeadOfAnotherShapeIsRefused) {
  auto model = tied();
  expect_bad_data(
      [&] {
        notes_of(model, {kEmbedding, {"lm_head.weight", "[6]", kOther}});
      },
      {"lm_head.weight", "[6]", "[3,2]"});
}

TEST(Fit, TensorsThatNoPartUsesAreNamedInOneLine) {
  auto model = tied();
  const std::vector<Tensor> tensors{
      kEmbedding,
      {"model.layers.0.self_attn.q_norm.weight", "[0]", ""},
      {"model.layers.1.self_attn.q_norm.weight", "[0]", ""},
      {"model.layers.0.self_attn.q_proj.weight", "[0]", ""},
      {"model.layers.1.self_attn.q_proj.bias", "[0]", ""},
      {"model.layers.2.mlp.up_proj.weight", "[0]", ""},  // the model has two layers
      {"v2.head", "[0]", ""},
  };
  EXPECT_THAT(
      notes_of(model, tensors),
      ElementsAre(
          "no part of the model uses 5 of the checkpoint's tensors: model.layers.*.mlp.up_proj.weight, "
          "model.layers.*.self_attn.q_norm.weight (2), model.layers.*.self_attn.q_proj.bias, v2.head"));
  model.specs[1][Block::attention].input_bias = true;
  model.specs[1][Block::attention].norm_before = false;
  auto more = tensors;
  more.push_back({"model.layers.0.input_layernorm.weight", "[0]", ""});
  more.push_back({"model.layers.1.input_layernorm.weight", "[0]", ""});
  EXPECT_THAT(
      notes_of(model, more),
      ElementsAre(
          "no part of the model uses 5 of the checkpoint's tensors: model.layers.*.input_layernorm.weight, "
          "model.layers.*.mlp.up_proj.weight, model.layers.*.self_attn.q_norm.weight (2), v2.head"));
}

TEST(Fit, ManyKindsAreCounted) {
  auto model = tied();
  std::vector<Tensor> tensors{kEmbedding};
  for (char c = 'a'; c <= 'k'; ++c) tensors.push_back({std::string(1, c), "[0]", ""});
  EXPECT_THAT(notes_of(model, tensors), ElementsAre("no part of the model uses 11 of the checkpoint's "
                                                    "tensors: a, b, c, d, e, f, g, h and 3 other kinds"));
}

}  // namespace
}  // namespace shardrift
