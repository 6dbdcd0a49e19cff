#include "model/forward.hpp"

#include <algorithm>

#include "common/error.hpp"
#include "common/progress.hpp"

namespace shardrift {
using record::Operation;

namespace {
constexpr std::int64_t kLongPass = 2048;  // rows; shorter ones spend no time on telling how far they are

// Of each row: how long its sequence is once the pass has run. A sequence's rows lie together, in the order
// of their positions.
std::vector<std::int32_t> sequence_lengths(const Pass& pass) {
  std::vector<std::int32_t> lengths(pass.tokens.size());
  for (std::size_t i = lengths.size(); i-- > 0;) {
    const bool last = i + 1 == lengths.size() || pass.slots[i + 1] != pass.slots[i];
    lengths[i] = last ? pass.positions[i] + 1 : lengths[i + 1];
  }
  return lengths;
}

}  // namespace

void Forward::begin(const Pass& pass, Landing& landing) {
  stage(pass, landing);
  compute_or_replay();
  fetch(landing);
}

Forward::Outcome Forward::end(Landing& landing) const {
  landing.landed->wait();
  Outcome outcome;
  if (landing.bytes > 0) outcome.logits = {landing.logits.as<std::byte>(), landing.bytes};
  if (place_.last_stage) outcome.chosen = {landing.chosen.as<std::int32_t>(), landing.rows};
  outcome.routes = fetched_routes(landing);
  return outcome;
}

void Forward::stage(const Pass& pass, Landing& landing) {
  progress::at("staging a pass");
  const std::int64_t rows = pass.rows();
  if (rows < 1 || rows > capacity_.rows)
    throw failure("a pass of {} rows, but buffers for {}: this is a bug", rows, capacity_.rows);
  logit_rows_ = static_cast<std::int64_t>(pass.wanted.size());
  if (logit_rows_ < 1 || logit_rows_ > capacity_.logit_rows)
    throw failure("a pass with logits of {} rows, but buffers for {}: this is a bug", logit_rows_,
                  capacity_.logit_rows);
  // One copy for all of it.
  const auto lengths = sequence_lengths(pass);
  const auto count = static_cast<std::size_t>(4 * rows + logit_rows_);
  landing.index.hold(count * sizeof(std::int32_t));
  auto* to = landing.index.as<std::int32_t>();
  for (const auto* values : {&pass.tokens, &pass.positions, &pass.slots, &lengths, &pass.wanted})
    to = std::copy(values->begin(), values->end(), to);
  backend_.upload_later(index_buffer_.data(), landing.index.as<std::int32_t>(), count * sizeof(std::int32_t));
  const auto* index = index_buffer_.as<std::int32_t>();
  // A sequence's rows lie together: neighbours tell.
  const auto& slots = pass.slots;
  const bool one_sequence = std::equal(slots.begin() + 1, slots.end(), slots.begin());
  const bool own_sequences = std::adjacent_find(slots.begin(), slots.end()) == slots.end();
  index_ = {index, index + rows, index + 2 * rows, index + 3 * rows, rows, one_sequence, own_sequences};
  wanted_ = index + 4 * rows;
  captured_ = plan_.launch == Launch::captured && pass.decodes;
  stage_routes(pass);
  // What is looked into is so expert by expert.
  grouped_ = !looked_into() && mixtures_.count > 0 && is_the_devices_alone(pass);
  prepare_maps(rows);
  if (trace_ != nullptr) trace_->begin(pass.wanted);
  if (graft_ != nullptr) graft_->begin();
}

// Decode passes are alike but for what is staged: they are captured and replayed, where the plan says so. The
// first of a shape runs twice: eagerly, because libraries make what they need in it, then replayed over its
// own results, so that what is recorded is what was captured, in every pass.
void Forward::compute_or_replay() {
  if (!captured_ || looked_into()) return compute();
  auto& work = captures_[{index_.rows, logit_rows_, index_.one_sequence, index_.own_sequences}];
  if (!work) {
    compute();
    work = backend_.capture([this] { compute(); });
  }
  progress::at("replaying a captured pass");
  work->launch();
}

void Forward::compute() {
  // The residual stream [rows, hidden] is the same on every rank of a stage; stages hand it on as it is.
  const Matrix residual = residual_.view.first_rows(index_.rows);
  normed_already_ = false;
  if (place_.first_stage) {
    if (place_.last_stage)
      backend_.take_chosen(chosen_.as<std::int32_t>(), index_.rows, index_buffer_.as<std::int32_t>());
    embed();
    if (embedding_scale_ != 1) backend_.scale(residual, embedding_scale_);
    output(Operation::embedding, 0, 0, residual);
  } else {
    progress::at("the stage before");
    stage_group_.receive(residual.data, residual.bytes(), place_.stage - 1);
  }
  for (std::size_t layer = 0; layer < weights_.layers.size(); ++layer) {
    for (const Block block : kBlocks) run_block(layer, block);
    // A pass over a long prompt may take a minute, and the host sees its end alone.
    if (index_.rows >= kLongPass) backend_.tell_progress();
  }
  if (place_.last_stage) {
    head(0);
  } else {
    stage_group_.send(residual.data, residual.bytes(), place_.stage + 1);
  }
}

void Forward::fetch(Landing& landing) {
  progress::at("fetching a pass");
  const auto row_bytes = static_cast<std::size_t>(config_.vocabulary) * size_of(plan_.logits_dtype);
  landing.rows = static_cast<std::size_t>(logit_rows_);
  landing.bytes = place_.writes() ? landing.rows * row_bytes : 0;
  landing.logits.hold(landing.bytes);
  for (std::int64_t done = 0; done < logit_rows_ && place_.last_stage; done += kHeadRows) {
    if (done > 0) head(done);
    const Matrix logits = logits_.view.first_rows(std::min(kHeadRows, logit_rows_ - done));
    if (place_.writes())
      backend_.download_later(landing.logits.as<std::byte>() + static_cast<std::size_t>(done) * row_bytes,
                              logits.data, logits.bytes());
  }
  if (place_.last_stage) {
    landing.chosen.hold(landing.rows * sizeof(std::int32_t));
    backend_.download_later(landing.chosen.as<std::int32_t>(), chosen_.data(),
                            landing.rows * sizeof(std::int32_t));
  }
  fetch_routes(landing);
  landing.landed->record();
  if (trace_ != nullptr) trace_->end();
}

// Every operation's output passes here: it may be replaced, and may be looked at. True: it was replaced.
bool Forward::output(Operation operation, std::size_t layer, std::size_t shard, const Matrix& matrix) {
  if (!looked_into()) return false;
  const record::Point point{operation, record::in_layer(operation) ? model_layer(layer) : 0};
  const bool replaced = graft_ != nullptr && graft_->output(point, shard, matrix);
  if (trace_ != nullptr) trace_->observe(point, shard, matrix);
  return replaced;
}

void Forward::embed() {
  progress::at("embedding");
  const Matrix residual = residual_.view.first_rows(index_.rows);
  if (tensor_group_.size() == 1) {
    for (const auto& slice : weights_.embedding)
      backend_.embed(slice.rows.matrix.view, slice.share.rows, index_, residual);
    return;
  }
  // Each rank fills the rows whose tokens it owns; all exchange bytes; each row is then taken from its owner.
  const Matrix mine{partials_.data(), index_.rows, config_.hidden, plan_.dtype};
  for (const auto& slice : weights_.embedding)
    backend_.embed(slice.rows.matrix.view, slice.share.rows, index_, mine);
  tensor_group_.all_gather(mine.data, gathered_.data(), stride_of(mine));
  backend_.pick_rows(gathered_.data(), stride_of(mine), vocabulary_owner_.as<std::int32_t>(), index_,
                     residual);
}

// The stream through one block: residual += reduce over shards of (out_s · inner_s(in_s · norm(residual))).
void Forward::run_block(std::size_t layer, Block block) {
  const bool attention = block == Block::attention;
  progress::at(attention ? "attention of layer" : "MLP of layer", model_layer(layer));
  const BlockSpec& what = spec(layer)[block];
  const BlockVectors& whole = weights_.layers[layer][block];
  const std::int64_t rows = index_.rows;
  const Matrix residual = residual_.view.first_rows(rows);
  const Matrix normed = normed_.view.first_rows(rows);
  if (what.norm_before) {
    if (!normed_already_) backend_.rms_norm(residual, norm_by(whole.norm_before), normed);
    normed_already_ = false;
    output(attention ? Operation::attention_norm : Operation::mlp_norm, layer, 0, normed);
  }
  const Matrix& x = what.norm_before ? normed : residual;
  const bool mixture = !attention && is_mixture(layer);
  // A norm over whole rows needs the queries and keys of all shards.
  const bool whole_rows = attention && spec(layer).query_key_norm == QueryKeyNorm::per_row;
  if (whole_rows) {
    each_shard([&](std::size_t s) { project(layer, s, x); });
    norm_whole_rows(layer, rows);
  }
  if (mixture) {
    route(layer, x);
    each_shards_experts([&](std::size_t s) { run_experts(layer, s, x); });
  } else {
    each_shard([&](std::size_t s) {
      if (attention && !whole_rows) project(layer, s, x);
      const Matrix inner = row_input(layer, block, s, rows);
      if (inner.cols > 0) attention ? attend(layer, s, inner) : activate(layer, s, x, inner);
      if (!gathers_) row_product(layer, block, s, inner);
    });
  }

  Matrix sum = !gathers_ ? reduced(rows)
               : mixture ? gathered_experts(layer, rows)
                         : gathered_product(layer, block, rows);
  if (what.output_bias && !mixture)
    backend_.add(sum, whole.out_bias.view);  // once, whatever the number of shards
  output(attention ? Operation::attention_sum : Operation::mlp_sum, layer, 0, sum);
  if (what.norm_after) {
    backend_.rms_norm(sum, norm_by(whole.norm_after), normed);
    sum = normed;
  }
  if (const double multiplier = spec(layer).residual_multiplier; multiplier != 1)
    backend_.scale(sum, multiplier);
  // The next block's norm, if it begins with one, in the same step.
  const OwnedMatrix* next = norm_after(layer, block);
  if (next != nullptr) {
    backend_.add_and_norm(residual, sum, norm_by(*next), normed);
    normed_already_ = true;
  } else {
    backend_.add(residual, sum);
  }
  // Another stream has another norm.
  if (output(attention ? Operation::attention_residual : Operation::mlp_residual, layer, 0, residual))
    normed_already_ = false;
}

// What the block after this one, in this stage, norms the residual stream with; null: nothing.
const OwnedMatrix* Forward::norm_after(std::size_t layer, Block block) const {
  const bool attention = block == Block::attention;
  const std::size_t next = attention ? layer : layer + 1;
  if (next == weights_.layers.size()) return nullptr;
  const Block after = attention ? Block::mlp : Block::attention;
  return spec(next)[after].norm_before ? &weights_.layers[next][after].norm_before : nullptr;
}

// A shard's column-parallel product, and its biases.
void Forward::product_in(std::size_t layer, Block block, std::size_t shard, const Matrix& x,
                         const Matrix& out) {
  const ShardBlock& weights = weights_.layers[layer].shards[shard][block];
  backend_.linear(x, weights.in.view(), out);
  if (spec(layer)[block].input_bias) backend_.add(out, weights.in_bias.view);
}

// Each hosted shard's part of what has no sums, at once where the device can: a shard has buffers of its own,
// but for the one that --partial rounded rounds from, and for what a trace adds up or a graft replaces.
void Forward::each_shard(const std::function<void(std::size_t)>& work) {
  const auto shards = static_cast<int>(place_.shards.size());
  const auto one = [&](int shard) { work(static_cast<std::size_t>(shard)); };
  if (!looked_into() && !rounds_partials_) return backend_.in_parallel(shards, one);
  for (int shard = 0; shard < shards; ++shard) one(shard);
}

// A shard's queries, keys and values.
void Forward::project(std::size_t layer, std::size_t s, const Matrix& x) {
  if (weights_.layers[layer].shards[s].query_heads == 0) return;
  const Matrix qkv = projected(s, x.rows);
  product_in(layer, Block::attention, s, x, qkv);
  output(Operation::qkv, layer, s, qkv);
  if (spec(layer).query_key_norm == QueryKeyNorm::per_head) norm_heads(layer, s, qkv);
}

void Forward::attend(std::size_t layer, std::size_t s, const Matrix& attended) {
  const auto& shard = weights_.layers[layer].shards[s];
  const auto& rope = ropes_[layer_rope_[layer]];
  const Matrix qkv = projected(s, attended.rows);
  const AttentionShape shape{shard.query_heads,
                             shard.local_kv.as<std::int32_t>(),
                             spec(layer).window,
                             spec(layer).score_scale,
                             spec(layer).score_softcap,
                             shard.sinks.view.data,
                             attention_scratch_.empty() ? nullptr : attention_scratch_[s].data(),
                             shard.queries_a_kv};
  const CacheView cached = cache(layer, s);
  if (!looked_into()) {
    return backend_.rope_and_attention(qkv, shape, rope.view, index_, cached, attended);
  }
  backend_.rope_and_cache(qkv, shard.query_heads, rope.view, index_, cached);
  output(Operation::rope, layer, s, qkv);
  backend_.attention(qkv, shape, index_, cached, attended);
  output(Operation::attention, layer, s, attended);
}

void Forward::activate(std::size_t layer, std::size_t s, const Matrix& x, const Matrix& activated) {
  const Matrix gate_up = wide_[static_cast<std::size_t>(Block::mlp)][s].view.first_rows(x.rows);
  product_in(layer, Block::mlp, s, x, gate_up);
  output(Operation::gate_up, layer, s, gate_up);
  backend_.activate(gate_up, spec(layer).activation, spec(layer).activation_limit, activated);
  output(Operation::activation, layer, s, activated);
}

// Logits of up to kHeadRows of the rows whose logits are asked for, the first `done` of which came before.
void Forward::head(std::int64_t done) {
  progress::at("head");
  const std::int64_t rows = std::min(kHeadRows, logit_rows_ - done);
  const Matrix x = head_input_.view.first_rows(rows);
  // The stream's rows are picked as a table's: a copy of bits.
  const RowIndex picked{.tokens = wanted_ + done, .rows = rows};
  const Matrix stream = normed_.view.first_rows(rows);
  backend_.embed(residual_.view, {0, index_.rows}, picked, stream);
  backend_.rms_norm(stream, norm_by(weights_.final_norm), x);
  if (trace_ != nullptr) trace_->narrow(done, rows);
  if (graft_ != nullptr) graft_->narrow(done);
  output(Operation::final_norm, 0, 0, x);

  const auto& slices = config_.tied_head ? weights_.embedding : weights_.head;
  const std::int64_t width = slices.front().share.width;
  const Matrix logits = logits_.view.first_rows(rows);
  if (plan_.shards == 1) {
    backend_.linear(x, slices.front().rows.view(), logits);
    finish_logits(logits);
    output(Operation::logits, 0, 0, logits);
    return backend_.choose(logits, chosen_.as<std::int32_t>() + done);
  }
  const Matrix first{head_slices_.data(), rows, width, plan_.logits_dtype};
  const std::size_t stride = stride_of(first);
  each_shard([&](std::size_t s) {
    const Matrix slice{head_slices_.as<std::byte>() + s * stride, rows, width, plan_.logits_dtype};
    backend_.linear(x, slices[s].rows.view(), slice);
    finish_logits(slice);
    output(Operation::logits, 0, s, slice);
  });
  const ColumnSlices all = all_slices(head_slices_.data(), stride, vocabulary_, width);
  // Every rank of the stage has all slices, and chooses for itself.
  backend_.join_columns(all, logits);
  backend_.choose(logits, chosen_.as<std::int32_t>() + done);
}

// Element by element, so that it does not matter whose slice it is done to.
void Forward::finish_logits(const Matrix& slice) {
  if (config_.logits_divisor != 1 || config_.logits_softcap != 0)
    backend_.divide_and_cap(slice, config_.logits_divisor, config_.logits_softcap);
}

CacheView Forward::cache(std::size_t layer, std::size_t shard) const {
  return {keys_[layer][shard].data(), values_[layer][shard].data(),
          weights_.layers[layer].shards[shard].kv_heads, capacity_.length, config_.head_dim};
}

}  // namespace shardrift
