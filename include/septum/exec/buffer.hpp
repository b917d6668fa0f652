#pragma once
#include <septum/core/config.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

namespace septum::inline SEPTUM_ABI {

/// Scratch memory on the host: aligned to a cache line, uninitialised, grown but never shrunk.
/// Movable, not copyable.
template <class T>
class buffer {
  static_assert(std::is_trivially_copyable_v<T>,
                "septum: a buffer holds plain numbers. FIX: use std::vector for other types.");

 public:
  buffer() = default;
  explicit buffer(std::size_t count) { reserve(count); }

  /// Makes room for `count` values; the contents are lost when it has to grow.
  /// @throws std::bad_alloc when the memory cannot be had
  void reserve(std::size_t count) {
    if (count <= size_) return;
    data_.reset();
    data_.reset(static_cast<T*>(::operator new(count * sizeof(T), alignment)));
    size_ = count;
  }
  [[nodiscard]] T* data() const noexcept { return data_.get(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return size_ * sizeof(T); }
  [[nodiscard]] std::span<T> first(std::size_t count) const { return {data_.get(), count}; }

 private:
  static constexpr std::align_val_t alignment{64};
  struct release {
    void operator()(T* memory) const noexcept { ::operator delete(memory, alignment); }
  };
  std::unique_ptr<T, release> data_;
  std::size_t size_ = 0;
};

}  // namespace septum::inline SEPTUM_ABI
