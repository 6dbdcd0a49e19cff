// The row-parallel linears: each shard's product, and how the shards' products become one tensor.
#include <algorithm>

#include "common/error.hpp"
#include "model/forward.hpp"
#include "parallel/order_models/fold_order.hpp"

namespace shardrift {
using record::Operation;

// Where a shard's input of a row-parallel linear goes: its own buffer, or its slice of what is gathered.
Matrix Forward::row_input(std::size_t layer, Block block, std::size_t shard, std::int64_t rows) const {
  const auto b = static_cast<std::size_t>(block);
  if (!gathers_) return inner_[b][shard].view.first_rows(rows);
  const std::size_t stride = inner_columns_[b].stride(rows, plan_.dtype);
  return {input_slices_.as<std::byte>() + shard * stride, rows,
          weights_.layers[layer].shards[shard][block].inner, plan_.dtype};
}

// A shard's partial: its product, or -0 where it has no columns of K.
void Forward::row_product(std::size_t layer, Block block, std::size_t shard, const Matrix& x) {
  const Weight weight = weights_.layers[layer].shards[shard][block].out.view();
  const Matrix out = partial(static_cast<std::int64_t>(shard), x.rows);
  if (x.cols == 0) {
    backend_.fill_negative_zero(out);
  } else {
    product_out(x, weight, out);
  }
  output(block == Block::attention ? Operation::attention_partials : Operation::mlp_partials, layer, shard,
         out);
}

// A row-parallel product, rounded as --partial says.
void Forward::product_out(const Matrix& x, const Weight& weight, const Matrix& out) {
  if (!rounds_partials_) return backend_.linear(x, weight, out);
  // The product's float32 accumulators, rounded by ourselves: one shard's fold adds nothing.
  const Matrix product = product_.view.first_rows(x.rows);
  backend_.linear(x, weight, product);
  prepare_rounding(x.rows);  // of a pass's rows it is there; of an expert's it may not be
  backend_.fold(product.data, product.bytes(), product.dtype, rounding_maps_.at(x.rows), Accumulator::message,
                out);
}

Matrix Forward::partial(std::int64_t hosted, std::int64_t rows) const {
  Matrix matrix{partials_.data(), rows, config_.hidden, partial_dtype_};
  matrix.data = partials_.as<std::byte>() + static_cast<std::size_t>(hosted) * stride_of(matrix);
  return matrix;
}

ColumnSlices Forward::all_slices(const void* hosted, std::size_t stride, const Columns& columns,
                                 std::int64_t width) {
  const void* all = hosted;
  if (tensor_group_.size() > 1) {
    tensor_group_.all_gather(hosted, gathered_.data(),
                             stride * static_cast<std::size_t>(place_.shards.size()));
    all = gathered_.data();
  }
  return {all, stride, plan_.shards, columns.offsets.as<std::int64_t>(), width};
}

// Inputs of all shards -> [rows, K]; each shard multiplies its rows of the output over all of K -> [rows,
// hidden]. Bytes move, nothing is added across shards; every product has the same shape wherever its shard
// lives.
Matrix Forward::gathered_product(std::size_t layer, Block block, std::int64_t rows) {
  const Columns& inputs = inner_columns_[static_cast<std::size_t>(block)];
  const Matrix x{joined_.data(), rows, inputs.count, plan_.dtype};
  // Slices of an input are written without pads: width 0.
  backend_.join_columns(all_slices(input_slices_.data(), inputs.stride(rows, plan_.dtype), inputs, 0), x);
  const Matrix out{partials_.data(), rows, hidden_columns_.width, plan_.dtype};
  each_shard([&](std::size_t s) {
    Matrix own = out;
    own.data = partials_.as<std::byte>() + s * stride_of(out);
    backend_.linear(x, weights_.layers[layer].shards[s][block].out.view(), own);
  });
  const Matrix sum = reduced_.view.first_rows(rows);
  backend_.join_columns(all_slices(partials_.data(), stride_of(out), hidden_columns_, out.cols), sum);
  return sum;
}

// A rank's equal part of the sum is a multiple of 16 bytes: the message is padded with (negative) zeros,
// which nobody reads.
void Forward::sum_by_scatter(const Matrix& message) {
  const std::int64_t ranks = tensor_group_.size();
  const std::int64_t padded = padded_count(message.count(), message.dtype, tensor_group_.size());
  if (padded > message.count())
    backend_.fill_negative_zero({static_cast<std::byte*>(message.data) + message.bytes(), 1,
                                 padded - message.count(), message.dtype});
  const std::int64_t part = padded / ranks;
  tensor_group_.reduce_scatter(message.data, scattered_.data(), part, message.dtype);
  tensor_group_.all_gather(scattered_.data(), message.data,
                           static_cast<std::size_t>(part) * size_of(message.dtype));
}

// The partials of all S shards -> one tensor. The only place where values of different shards are added.
Matrix Forward::reduced(std::int64_t rows) {
  const Matrix first = partial(0, rows);
  if (plan_.shards == 1 && first.dtype == plan_.dtype) return first;
  if (!folds()) {
    // The library's own order: it depends on rank, position in the message and message size
    // (docs/architecture.md).
    if (plan_.row_linear == RowLinear::scatter) {
      sum_by_scatter(first);
    } else {
      tensor_group_.all_reduce(first.data, first.count(), plan_.dtype);
    }
    return first;
  }
  const void* partials = partials_.data();
  const std::size_t stride = stride_of(first);
  if (tensor_group_.size() > 1) {
    tensor_group_.all_gather(partials, gathered_.data(),
                             stride * static_cast<std::size_t>(place_.shards.size()));
    partials = gathered_.data();
  }
  const Matrix sum = reduced_.view.first_rows(rows);
  // Every rank folds the same bytes in the same order: the same bits as one device hosting all S shards.
  backend_.fold(partials, stride, partial_dtype_, order_maps_.at(order_key(rows)),
                plan_.reduction.accumulator, sum);
  return sum;
}

// Partials are folded here, by an order map: not where there is nothing to add or round, nor by the
// transport.
bool Forward::folds() const {
  const bool one = plan_.shards == 1 && partial_dtype_ == plan_.dtype;
  return !one && plan_.reduction.order != ReductionOrder::native;
}

// One shard's tree: a fold by it is one rounding.
void Forward::prepare_rounding(std::int64_t rows) {
  if (!rounding_maps_.contains(rows))
    rounding_maps_.try_emplace(rows, backend_, uniform_map(linear_tree(1), rows * config_.hidden));
}

// The maps that a pass of so many rows folds by. The order depends on an element's place in the message and,
// in ring and profile, on the message's size.
void Forward::prepare_maps(std::int64_t rows) {
  const std::int64_t count = rows * config_.hidden;
  if (rounds_partials_) prepare_rounding(rows);
  if (!folds() || gathers_ || order_maps_.contains(order_key(rows))) return;
  OrderMap map = plan_.shards == 1 ? uniform_map(linear_tree(1), count)  // one rounding, no add
                 : plan_.reduction.needs_profile()
                     ? orders_(count, captured_)
                     : fold_order_map(plan_.reduction, plan_.shards, count, partial_dtype_);
  if (map.count != count || map.shards() != plan_.shards)
    throw failure("an order map of {} elements and {} shards for a message of {} and {}: this is a bug",
                  map.count, map.shards(), count, plan_.shards);
  order_maps_.try_emplace(order_key(rows), backend_, std::move(map));
}

}  // namespace shardrift
