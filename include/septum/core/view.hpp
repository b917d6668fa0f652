#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>

#include <array>
#include <cstddef>
#include <string>
#include <type_traits>

namespace septum::inline SEPTUM_ABI {

/// Memory reachable by the processor that runs the program.
struct host_space {};
/// Memory of a CUDA device; not dereferenceable on the host.
struct device_space {};

/// Non-owning strided array: a pointer, extents and strides (in elements). The last axis is
/// contiguous (stride 1), so images and feature maps are channels-last. Trivially copyable, so
/// that it can be a member of a kernel functor; checked per access when SEPTUM_CHECKED is set.
/// `T const` makes a read-only view; a mutable view converts to it.
template <class T, int Rank, class Space = host_space>
class view {
  static_assert(Rank >= 1 && Rank <= 5, "septum: a view has 1 to 5 axes. FIX: merge axes.");

 public:
  using value_type = std::remove_const_t<T>;
  using memory_space = Space;
  static constexpr int rank = Rank;

  view() = default;

  /// Contiguous view over `data` with the given extents, row-major.
  SEPTUM_HD constexpr view(T* data, std::array<std::ptrdiff_t, Rank> extents)
      : data_{data}, extents_{extents} {
    std::ptrdiff_t step = 1;
    for (int axis = Rank - 1; axis >= 0; --axis) {
      strides_[static_cast<std::size_t>(axis)] = step;
      step *= extents_[static_cast<std::size_t>(axis)];
    }
  }
  /// Strided view; the last stride has to be 1.
  SEPTUM_HD constexpr view(T* data, std::array<std::ptrdiff_t, Rank> extents,
                           std::array<std::ptrdiff_t, Rank> strides)
      : data_{data}, extents_{extents}, strides_{strides} {}

  /// A mutable view is usable where a read-only one is wanted.
  template <class U>
    requires(std::is_same_v<U const, T> && !std::is_same_v<U, T>)
  SEPTUM_HD constexpr view(view<U, Rank, Space> other)
      : data_{other.data()}, extents_{other.extents()}, strides_{other.strides()} {}

  [[nodiscard]] SEPTUM_HD constexpr T* data() const { return data_; }
  [[nodiscard]] SEPTUM_HD constexpr std::array<std::ptrdiff_t, Rank> const& extents() const {
    return extents_;
  }
  [[nodiscard]] SEPTUM_HD constexpr std::array<std::ptrdiff_t, Rank> const& strides() const {
    return strides_;
  }
  [[nodiscard]] SEPTUM_HD constexpr std::ptrdiff_t extent(int axis) const {
    return extents_[static_cast<std::size_t>(axis)];
  }
  [[nodiscard]] SEPTUM_HD constexpr std::ptrdiff_t stride(int axis) const {
    return strides_[static_cast<std::size_t>(axis)];
  }
  /// Number of elements.
  [[nodiscard]] SEPTUM_HD constexpr std::ptrdiff_t size() const {
    std::ptrdiff_t n = 1;
    for (int axis = 0; axis < Rank; ++axis) n *= extents_[static_cast<std::size_t>(axis)];
    return n;
  }
  /// True when the elements follow each other without gaps.
  [[nodiscard]] SEPTUM_HD constexpr bool contiguous() const {
    std::ptrdiff_t step = 1;
    for (int axis = Rank - 1; axis >= 0; --axis) {
      auto const a = static_cast<std::size_t>(axis);
      if (extents_[a] != 1 && strides_[a] != step) return false;
      step *= extents_[a];
    }
    return true;
  }

  /// Element at one index per axis.
  template <class... Index>
    requires(sizeof...(Index) == Rank)
  SEPTUM_HD constexpr T& operator()(Index... index) const {
    std::array<std::ptrdiff_t, Rank> const at{static_cast<std::ptrdiff_t>(index)...};
    std::ptrdiff_t offset = 0;
    for (int axis = 0; axis < Rank; ++axis) {
      auto const a = static_cast<std::size_t>(axis);
      SEPTUM_ASSERT(
          at[a] >= 0 && at[a] < extents_[a],
          shape_error("septum.view.1",
                      "index " + std::to_string(at[a]) + " on axis " + std::to_string(axis) +
                          " of extent " + std::to_string(extents_[a]),
                      fault::internal));
      offset += at[a] * strides_[a];
    }
    return data_[offset];
  }

  /// Sub-block that starts at `origin` and has the given extents; shares the memory.
  [[nodiscard]] SEPTUM_HD constexpr view block(std::array<std::ptrdiff_t, Rank> origin,
                                               std::array<std::ptrdiff_t, Rank> extents) const {
    std::ptrdiff_t offset = 0;
    for (int axis = 0; axis < Rank; ++axis) {
      auto const a = static_cast<std::size_t>(axis);
      SEPTUM_ASSERT(
          origin[a] >= 0 && extents[a] >= 0 && origin[a] + extents[a] <= extents_[a],
          shape_error("septum.view.2", "block leaves its view on axis " + std::to_string(axis),
                      fault::internal));
      offset += origin[a] * strides_[a];
    }
    return {data_ + offset, extents, strides_};
  }

 private:
  T* data_ = nullptr;
  std::array<std::ptrdiff_t, Rank> extents_{};
  std::array<std::ptrdiff_t, Rank> strides_{};
};

}  // namespace septum::inline SEPTUM_ABI
