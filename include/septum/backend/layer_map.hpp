#pragma once
#include <septum/core/half.hpp>
#include <septum/core/view.hpp>

#include <array>
#include <cstddef>
#include <type_traits>

namespace septum::inline SEPTUM_ABI {

/// What the values of a map are.
enum class map_scalar { f32, f64, bf16 };

/// Bytes of one value.
constexpr std::size_t bytes_of(map_scalar scalar) {
  return scalar == map_scalar::f64 ? 8 : scalar == map_scalar::f32 ? 4 : 2;
}

/// The map_scalar of a type.
template <class T>
inline constexpr map_scalar map_scalar_v = std::is_same_v<T, double>     ? map_scalar::f64
                                           : std::is_same_v<T, bfloat16> ? map_scalar::bf16
                                                                         : map_scalar::f32;

/// A contiguous map (batch, row, column, channel) whose values are known when the program runs:
/// what passes from layer to layer of a net that holds some of its maps in 16 bits. Refers to
/// memory that others own.
/// @tparam Void void, or void const for a map that is only read
template <class Void>
class basic_layer_map {
 public:
  basic_layer_map() = default;
  basic_layer_map(Void* data, std::array<std::ptrdiff_t, 4> extents, map_scalar scalar)
      : data_{data}, extents_{extents}, scalar_{scalar} {}
  template <class T>
    requires std::is_convertible_v<T*, Void*> basic_layer_map(view<T, 4> map)
        : basic_layer_map{map.data(), map.extents(), map_scalar_v<std::remove_const_t<T>>} {}
    /// A map that may be written is usable where one is read.
    template <class U>
      requires(std::is_void_v<U> && !std::is_same_v<U, Void> && std::is_convertible_v<U*, Void*>)
    basic_layer_map(basic_layer_map<U> other)
        : basic_layer_map{other.data(), other.extents(), other.scalar()} {}

    /// The map as what it is; T has to be the type of its values.
    template <class T>
    [[nodiscard]] auto as() const {
      using value = std::conditional_t<std::is_const_v<Void>, T const, T>;
      return view<value, 4>{static_cast<value*>(data_), extents_};
    }
    [[nodiscard]] Void* data() const { return data_; }
    [[nodiscard]] std::array<std::ptrdiff_t, 4> const& extents() const { return extents_; }
    [[nodiscard]] std::ptrdiff_t extent(int axis) const {
      return extents_[static_cast<std::size_t>(axis)];
    }
    /// Number of values.
    [[nodiscard]] std::ptrdiff_t size() const {
      return extents_[0] * extents_[1] * extents_[2] * extents_[3];
    }
    [[nodiscard]] map_scalar scalar() const { return scalar_; }

   private:
    Void* data_ = nullptr;
    std::array<std::ptrdiff_t, 4> extents_{};
    map_scalar scalar_ = map_scalar::f32;
};
using layer_map = basic_layer_map<void>;
using const_layer_map = basic_layer_map<void const>;

}  // namespace septum::inline SEPTUM_ABI
