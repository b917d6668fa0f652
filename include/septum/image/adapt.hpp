#pragma once
#include <septum/core/config.hpp>
#include <septum/core/view.hpp>
#include <septum/image/types.hpp>

#include <Eigen/Core>
#include <array>
#include <cstddef>
#include <span>
#include <type_traits>

namespace septum::inline SEPTUM_ABI {

namespace detail {

/// True for Eigen expressions that own or map memory whose columns follow each other.
template <class Derived>
inline constexpr bool row_major_memory_v =
    (static_cast<unsigned>(Eigen::internal::traits<Derived>::Flags) & Eigen::DirectAccessBit) !=
        0 &&
    static_cast<bool>(Derived::IsRowMajor) && Derived::InnerStrideAtCompileTime == 1;

}  // namespace detail

/// A row-major Eigen matrix, array, map or block as a view with axes row, column. Column-major ones
/// do not have channels-last order and are refused: copy them into a row-major matrix.
template <class Derived>
  requires detail::row_major_memory_v<Derived>
[[nodiscard]] auto as_view(Eigen::DenseBase<Derived>& matrix) {
  using value_type = std::remove_pointer_t<decltype(matrix.derived().data())>;
  Derived& source = matrix.derived();
  return view<value_type, 2>{source.data(),
                             std::array<std::ptrdiff_t, 2>{source.rows(), source.cols()},
                             std::array<std::ptrdiff_t, 2>{source.outerStride(), 1}};
}
template <class Derived>
  requires detail::row_major_memory_v<Derived>
[[nodiscard]] auto as_view(Eigen::DenseBase<Derived> const& matrix) {
  Derived const& source = matrix.derived();
  return view<typename Derived::Scalar const, 2>{
      source.data(), std::array<std::ptrdiff_t, 2>{source.rows(), source.cols()},
      std::array<std::ptrdiff_t, 2>{source.outerStride(), 1}};
}

/// Consecutive values as a view with one axis.
template <class T>
[[nodiscard]] view<T, 1> as_view(std::span<T> values) {
  return {values.data(), {static_cast<std::ptrdiff_t>(values.size())}};
}

namespace detail {

template <class V>
inline constexpr bool is_host_view_v = false;
template <class T, int Rank>
inline constexpr bool is_host_view_v<view<T, Rank, host_space>> = true;

}  // namespace detail

/// What kernels can read: `as_view(x)` gives a view in host memory. Holds for xtensor containers,
/// row-major Eigen matrices and spans; a type of your own joins with an `as_view` beside it.
template <class T>
concept Image = requires(T const& x) {
  as_view(x);
  requires detail::is_host_view_v<decltype(as_view(x))>;
};

}  // namespace septum::inline SEPTUM_ABI
