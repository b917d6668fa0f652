#pragma once
#include <septum/core/config.hpp>

#include <cstddef>
#include <iterator>

namespace septum::inline SEPTUM_ABI::detail {

/// Input iterator over the batches of an epoch, a friend of the range that it walks: the range's
/// `gather_next` makes batch number `next_` ready in `batch_`, and `finished` says that there is
/// none left.
template <class Range, class Batch>
class batch_iterator {
 public:
  using value_type = Batch;
  using difference_type = std::ptrdiff_t;
  using iterator_concept = std::input_iterator_tag;

  batch_iterator() = default;
  explicit batch_iterator(Range* range) : range_{range} { range_->gather_next(); }

  [[nodiscard]] Batch const& operator*() const { return range_->batch_; }
  [[nodiscard]] Batch const* operator->() const { return &range_->batch_; }
  batch_iterator& operator++() {
    ++range_->next_;
    range_->gather_next();
    return *this;
  }
  void operator++(int) { ++*this; }
  [[nodiscard]] friend bool operator==(batch_iterator const& at, std::default_sentinel_t /*end*/) {
    return at.range_->finished();
  }

 private:
  Range* range_ = nullptr;
};

}  // namespace septum::inline SEPTUM_ABI::detail
