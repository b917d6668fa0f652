#pragma once
#include <septum/core/config.hpp>

#include <cstddef>
#include <cstring>

/// Groups of neighbouring channels that the host kernels keep in registers. Written with the vector
/// extension that g++ and clang share, so that the kernels run at the speed of memory whatever the
/// user's flags are: 16 bytes is the width every x86-64 and ARM64 processor has. Lanes never meet,
/// so the width does not change a result.
namespace septum::inline SEPTUM_ABI::detail {

/// One value with the interface of a group.
template <class T>
struct single_lane {
  static constexpr int width = 1;
  T value;

  static single_lane load(T const* from) { return {*from}; }
  static single_lane all(T x) { return {x}; }
  void store(T* to) const { *to = value; }
  friend single_lane operator+(single_lane a, single_lane b) { return {a.value + b.value}; }
  friend single_lane operator-(single_lane a, single_lane b) { return {a.value - b.value}; }
  friend single_lane operator*(single_lane a, single_lane b) { return {a.value * b.value}; }
  /// `yes` where a > b, else `no`.
  friend single_lane where_greater(single_lane a, single_lane b, single_lane yes, single_lane no) {
    return a.value > b.value ? yes : no;
  }
  /// `yes` where a == b, else `no`.
  friend single_lane where_equal(single_lane a, single_lane b, single_lane yes, single_lane no) {
    return a.value == b.value ? yes : no;
  }
};

/// As many values as fill 16 bytes.
template <class T>
struct vector_lanes {
  using vector [[gnu::vector_size(16)]] = T;
  static constexpr int width = 16 / sizeof(T);
  vector value;

  static vector_lanes load(T const* from) {
    vector_lanes lanes;
    std::memcpy(&lanes.value, from, sizeof(vector));
    return lanes;
  }
  static vector_lanes all(T x) { return {x - vector{}}; }
  void store(T* to) const { std::memcpy(to, &value, sizeof(vector)); }
  friend vector_lanes operator+(vector_lanes a, vector_lanes b) { return {a.value + b.value}; }
  friend vector_lanes operator-(vector_lanes a, vector_lanes b) { return {a.value - b.value}; }
  friend vector_lanes operator*(vector_lanes a, vector_lanes b) { return {a.value * b.value}; }
  friend vector_lanes where_greater(vector_lanes a, vector_lanes b, vector_lanes yes,
                                    vector_lanes no) {
    return {a.value > b.value ? yes.value : no.value};
  }
  friend vector_lanes where_equal(vector_lanes a, vector_lanes b, vector_lanes yes,
                                  vector_lanes no) {
    return {a.value == b.value ? yes.value : no.value};
  }
};

/// Four vectors, one cache line: enough independent sums to hide the latency of an addition.
template <class T>
struct line_lanes {
  using part = vector_lanes<T>;
  static constexpr int width = 4 * part::width;
  part a, b, c, d;

  static line_lanes load(T const* from) {
    return {part::load(from), part::load(from + part::width), part::load(from + 2 * part::width),
            part::load(from + 3 * part::width)};
  }
  static line_lanes all(T x) { return {part::all(x), part::all(x), part::all(x), part::all(x)}; }
  void store(T* to) const {
    a.store(to);
    b.store(to + part::width);
    c.store(to + 2 * part::width);
    d.store(to + 3 * part::width);
  }
  friend line_lanes operator+(line_lanes const& x, line_lanes const& y) {
    return {x.a + y.a, x.b + y.b, x.c + y.c, x.d + y.d};
  }
  friend line_lanes operator-(line_lanes const& x, line_lanes const& y) {
    return {x.a - y.a, x.b - y.b, x.c - y.c, x.d - y.d};
  }
  friend line_lanes operator*(line_lanes const& x, line_lanes const& y) {
    return {x.a * y.a, x.b * y.b, x.c * y.c, x.d * y.d};
  }
  friend line_lanes where_greater(line_lanes const& x, line_lanes const& y, line_lanes const& yes,
                                  line_lanes const& no) {
    return {where_greater(x.a, y.a, yes.a, no.a), where_greater(x.b, y.b, yes.b, no.b),
            where_greater(x.c, y.c, yes.c, no.c), where_greater(x.d, y.d, yes.d, no.d)};
  }
  friend line_lanes where_equal(line_lanes const& x, line_lanes const& y, line_lanes const& yes,
                                line_lanes const& no) {
    return {where_equal(x.a, y.a, yes.a, no.a), where_equal(x.b, y.b, yes.b, no.b),
            where_equal(x.c, y.c, yes.c, no.c), where_equal(x.d, y.d, yes.d, no.d)};
  }
};

/// Calls body.template operator()<Lanes>(first) for groups that cover [0, count): whole lines, then
/// vectors, then single values.
template <class T, class Body>
void for_each_lanes(std::ptrdiff_t count, Body const& body) {
  std::ptrdiff_t k = 0;
  for (; k + line_lanes<T>::width <= count; k += line_lanes<T>::width)
    body.template operator()<line_lanes<T>>(k);
  for (; k + vector_lanes<T>::width <= count; k += vector_lanes<T>::width)
    body.template operator()<vector_lanes<T>>(k);
  for (; k < count; ++k) body.template operator()<single_lane<T>>(k);
}

}  // namespace septum::inline SEPTUM_ABI::detail
