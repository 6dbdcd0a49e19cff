#include "weights/fit.hpp"

#include "weight_files.hpp"

namespace shardrift {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Two layers of Llama, each dimension as small as can be told apart.
ModelConfig tied() {
  ModelConfig model;
  model.architecture = "LlamaForCausalLM";
  model.hidden = 2;
  model.intermediate = 5;
  model.layers = 2;
  model.query_heads = model.kv_heads = 2;
  model.head_dim = 2;
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

Tensor floats(const std::string& name, const std::string& shape, int count, char first = 0) {
  std::string bytes = counting(static_cast<std::size_t>(4 * count));
  if (first != 0) bytes[0] = first;
  return {name, shape, bytes};
}

// All tensors of tied(); prefix: what stands for "model.".
std::vector<Tensor> all_tensors(const std::string& prefix = "model.") {
  std::vector<Tensor> tensors{floats(prefix + "embed_tokens.weight", "[3, 2]", 6),
                              floats(prefix + "norm.weight", "[2]", 2)};
  for (const char* layer : {"0", "1"}) {
    const auto in = prefix + "layers." + layer + ".";
    for (const char* name : {"input_layernorm", "post_attention_layernorm"})
      tensors.push_back(floats(in + name + ".weight", "[2]", 2));
    for (const char* name : {"q_proj", "k_proj", "v_proj"})
      tensors.push_back(floats(in + "self_attn." + name + ".weight", "[4, 2]", 8));
    tensors.push_back(floats(in + "self_attn.o_proj.weight", "[2, 4]", 8));
    for (const char* name : {"gate_proj", "up_proj"})
      tensors.push_back(floats(in + "mlp." + name + ".weight", "[5, 2]", 10));
    tensors.push_back(floats(in + "mlp.down_proj.weight", "[2, 5]", 10));
  }
  return tensors;
}

std::vector<Tensor> with(std::vector<Tensor> tensors, std::vector<Tensor> more) {
  tensors.insert(tensors.end(), more.begin(), more.end());
  return tensors;
}

const Tensor kSameHead = floats("lm_head.weight", "[3, 2]", 6);
const Tensor kOtherHead = floats("lm_head.weight", "[3, 2]", 6, 'x');

TEST(Fit, ATiedHeadStaysTiedWithoutOneOfItsOwnOrBesideTheSame) {
  auto model = tied();
  EXPECT_THAT(notes_of(model, all_tensors()), IsEmpty());
  EXPECT_THAT(notes_of(model, with(all_tensors(), {kSameHead})), IsEmpty());
  EXPECT_TRUE(model.tied_head);
}

TEST(Fit, AnotherHeadIsBelievedOverTheFlag) {
  auto model = tied();
  EXPECT_THAT(notes_of(model, with(all_tensors(), {kOtherHead})),
              ElementsAre(AllOf(HasSubstr("tie_word_embeddings"), HasSubstr("lm_head.weight"),
                                HasSubstr("it is used"))));
  EXPECT_FALSE(model.tied_head);
  // Where the flag says so there is nothing to tell.
  EXPECT_THAT(notes_of(model, with(all_tensors(), {kOtherHead})), IsEmpty());
}

void refused(const std::vector<Tensor>& tensors, const std::vector<std::string>& parts) {
  auto model = tied();
  expect_bad_data([&] { notes_of(model, tensors); }, parts);
}

TEST(Fit, MissingTensorsAndOtherShapesAreNamedTheFirstOfEachKind) {
  refused(with(all_tensors(), {floats("lm_head.weight", "[6]", 6)}), {"lm_head.weight", "[6]", "[3,2]"});
  auto tensors = all_tensors();
  std::erase_if(tensors, [](const Tensor& tensor) { return tensor.name.ends_with("k_proj.weight"); });
  refused(tensors, {"has no tensor \"model.layers.0.self_attn.k_proj.weight\"", "(2 tensors like it)"});
  for (auto& tensor : tensors)
    if (tensor.name.ends_with("0.mlp.up_proj.weight")) tensor.shape = "[2, 5]";
  refused(tensors,
          {"model.layers.0.mlp.up_proj.weight", "[2,5]", "[5,2]", "1 problem more: shardrift inspect"});
}

TEST(Fit, AVocabularyLargerThanTheEmbeddingIsRefused) {
  auto model = tied();
  model.vocabulary = 4;
  expect_bad_data([&] { notes_of(model, all_tensors()); }, {"embed_tokens.weight", "[3,2]", "[4,2]"});
}

TEST(Fit, AQuantizationThatNoTensorHasIsRefused) {
  for (const char* quantization : {R"({"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": false,
                                        "sym": true})",
                                   R"({"quant_method": "fp8", "weight_block_size": [128, 128]})"}) {
    auto model = tied();
    model.quantization = quantization;
    expect_bad_data([&] { notes_of(model, all_tensors()); },
                    {"quantization_config asks for", "no tensor is stored so", "if the weights are plain"});
  }
}

TEST(Fit, TensorsThatNoPartUsesAreRefusedInOneLine) {
  const auto extra = [](const std::string& name) { return Tensor{name, "[0]", ""}; };
  refused(with(all_tensors(), {extra("model.layers.0.self_attn.q_norm.weight"),
                               extra("model.layers.1.self_attn.q_norm.weight"),
                               extra("model.layers.1.self_attn.q_proj.bias"),
                               extra("model.layers.2.mlp.up_proj.weight"),  // the model has two layers
                               extra("v2.head")}),
          {"no part of LlamaForCausalLM as config.json describes it uses 5 of the checkpoint's tensors: "
           "model.layers.2.mlp.up_proj.weight, model.layers.*.self_attn.q_norm.weight (2), "
           "model.layers.1.self_attn.q_proj.bias, v2.head"});
  auto model = tied();
  model.specs[1][Block::attention].norm_before = false;
  expect_bad_data([&] { notes_of(model, all_tensors()); },
                  {"uses 1 of the checkpoint's tensors: model.layers.1.input_layernorm.weight"});
  // What older files hold beside the weights.
  model = tied();
  EXPECT_THAT(notes_of(model, with(all_tensors(), {extra("model.layers.0.self_attn.rotary_emb.inv_freq")})),
              IsEmpty());
}

TEST(Fit, ManyKindsAreCounted) {
  auto tensors = all_tensors();
  for (char c = 'a'; c <= 'k'; ++c) tensors.push_back({std::string(1, c), "[0]", ""});
  refused(tensors, {"uses 11 of the checkpoint's tensors: a, b, c, d, e, f, g, h and 3 other kinds"});
}

// Both spellings of a wrapper's text model; what lies beside it is named.
TEST(Fit, AWrappersTextModelIsFoundUnderItsPrefix) {
  for (const char* prefix : {"model.language_model.", "language_model.model."}) {
    auto model = tied();
    model.wrapper = "Gemma3ForConditionalGeneration";
    EXPECT_THAT(notes_of(model, with(all_tensors(prefix), {{"vision_tower.layers.0.weight", "[0]", ""},
                                                           {"vision_tower.layers.1.weight", "[0]", ""}})),
                ElementsAre("the text model of Gemma3ForConditionalGeneration is run; left out are 2 of the "
                            "checkpoint's tensors: vision_tower.layers.*.weight (2)"));
    expect_bad_data(
        [&] {
          notes_of(model, with(all_tensors(prefix), {{std::string(prefix) + "extra", "[0]", ""}}));
        },
        {"no part of", "extra"});
    // Another text model under another prefix is not taken for vision.
    const std::string other =
        prefix == std::string("model.language_model.") ? "language_model." : "model.language_model.";
    expect_bad_data(
        [&] {
          notes_of(model, with(all_tensors(prefix), {{other + "lm_head.weight", "[0]", ""}}));
        },
        {"no part of", "lm_head.weight"});
  }
}

}  // namespace
}  // namespace shardrift
