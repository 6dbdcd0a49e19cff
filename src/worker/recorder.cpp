#include "worker/recorder.hpp"

namespace shardrift {

Recorder::Recorder(const record::WriterOptions& options, const record::RunInfo& run, int top_k,
                   bool keep_logits)
    : begin_([=] {
        return std::make_unique<record::PartWriter>(
            options, run, record::RowOptions{.top_k = top_k, .keep_logits = keep_logits});
      }) {}

record::PartWriter& Recorder::writer() {
  if (!writer_) writer_ = begin_();
  return *writer_;
}

Recorder::Rows Recorder::begin(const std::string& id, std::int64_t at_most) {
  return writer().begin(id, at_most);
}

void Recorder::append(Rows& rows, std::span<const std::byte> logits) {
  writer().append(rows, logits);
}

void Recorder::add(record::PromptRecord prompt, Rows rows) {
  writer().end(std::move(rows), std::move(prompt));
}

void Recorder::add(record::PromptRecord prompt) {
  writer().add(std::move(prompt));
}

void Recorder::finish() {
  if (!writer_) return;
  waited_seconds_ = waited_seconds();
  const auto writer = std::move(writer_);
  writer->finish();
}

double Recorder::waited_seconds() const {
  return waited_seconds_ + (writer_ ? writer_->load().waited_seconds : 0);
}

}  // namespace shardrift
