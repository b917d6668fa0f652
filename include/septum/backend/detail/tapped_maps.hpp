#pragma once
#include <septum/backend/problem.hpp>
#include <septum/core/error.hpp>
#include <septum/core/rng.hpp>
#include <septum/exec/buffer.hpp>
#include <septum/nn/layers.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

/// tap and gather: maps that a net keeps for a later layer, and how that layer takes them up.
namespace septum::inline SEPTUM_ABI::detail {

/// The maps that taps have left in a pass, and the gradients that gathers left for them.
class tapped_maps {
 public:
  struct kept {
    buffer<std::byte> values;
    buffer<std::byte> slopes;
    shape extent{};
    int jump = 1;

    template <class T>
    [[nodiscard]] T* map(buffer<std::byte>& bytes, std::size_t batch) {
      bytes.reserve(extent.size() * batch * sizeof(T));
      return reinterpret_cast<T*>(bytes.data());
    }
    /// Rows and columns before the middle of this map where `inner` is the map that gathers. The
    /// patch form keeps every `jump`-th pixel, so its middle is a multiple of that.
    [[nodiscard]] int margin(shape inner) const {
      return (extent.height - inner.height) / jump / 2 * jump;
    }
  };
  [[nodiscard]] kept& operator[](int number) { return kept_[static_cast<std::size_t>(number)]; }

 private:
  std::array<kept, 8> kept_{};
};

/// What the kernels of both layers share.
template <class T>
struct tapping_kernel {
  struct plan {
    layer_problem problem;
  };
  struct packed {};
  struct saved {};
  template <class Context>
  static plan prepare(Context&, layer_problem const& problem) {
    return {problem};
  }
  template <class Context>
  static packed pack(Context&, plan const&, std::span<T const>) {
    return {};
  }
  template <class Context>
  static saved make_saved(Context&, plan const&) {
    return {};
  }
};

/// Leaves a copy of the map; adds the gradient of the copy on the way back.
template <int Number, int Jump, class T>
struct tap_kernel : tapping_kernel<T> {
  using base = tapping_kernel<T>;
  using typename base::packed;
  using typename base::plan;
  using typename base::saved;

  template <class Context>
  static void forward(Context& ctx, plan const& p, packed const&, view<T const, 4> x,
                      view<T, 4> y) {
    auto& kept = ctx.taps[Number];
    kept.extent = p.problem.in;
    kept.jump = Jump;
    std::copy_n(x.data(), x.size(),
                kept.template map<T>(kept.values, static_cast<std::size_t>(p.problem.batch)));
    std::copy_n(x.data(), x.size(), y.data());
  }
  template <class Context>
  static void forward_train(Context& ctx, plan const& p, packed const& w, saved&,
                            view<T const, 4> x, view<T, 4> y, counter_rng) {
    forward(ctx, p, w, x, y);
  }
  template <class Context>
  static void backward(Context& ctx, plan const& p, packed const&, saved const&, view<T const, 4>,
                       view<T const, 4>, view<T, 4> dy, view<T, 4> dx, std::span<T>) {
    if (!p.problem.input_gradient) return;
    auto& kept = ctx.taps[Number];
    T const* const more =
        kept.template map<T>(kept.slopes, static_cast<std::size_t>(p.problem.batch));
    for (std::ptrdiff_t i = 0; i < dx.size(); ++i) dx.data()[i] = dy.data()[i] + more[i];
  }
};

/// Appends the middles of the tapped maps to every pixel; hands them their gradients on the way
/// back.
template <class T, int... Numbers>
struct gather_kernel : tapping_kernel<T> {
  using base = tapping_kernel<T>;
  using typename base::packed;
  using typename base::plan;
  using typename base::saved;

  template <class Context>
  static void forward(Context& ctx, plan const& p, packed const&, view<T const, 4> x,
                      view<T, 4> y) {
    shape const in = p.problem.in;
    copy_channels(p.problem, x.data(), in, 0, y, 0, in.channels, [](T from, T& to) { to = from; });
    int first = in.channels;
    for (int const number : {Numbers...}) {
      auto& kept = ctx.taps[number];
      T const* const map =
          kept.template map<T>(kept.values, static_cast<std::size_t>(p.problem.batch));
      copy_channels(p.problem, map, kept.extent, kept.margin(in), y, first, kept.extent.channels,
                    [](T from, T& to) { to = from; });
      first += kept.extent.channels;
    }
  }
  template <class Context>
  static void forward_train(Context& ctx, plan const& p, packed const& w, saved&,
                            view<T const, 4> x, view<T, 4> y, counter_rng) {
    forward(ctx, p, w, x, y);
  }
  template <class Context>
  static void backward(Context& ctx, plan const& p, packed const&, saved const&, view<T const, 4>,
                       view<T const, 4>, view<T, 4> dy, view<T, 4> dx, std::span<T>) {
    shape const in = p.problem.in;
    if (p.problem.input_gradient)
      copy_channels(p.problem, dx.data(), in, 0, dy, 0, in.channels,
                    [](T& to, T from) { to = from; });
    int first = in.channels;
    for (int const number : {Numbers...}) {
      auto& kept = ctx.taps[number];
      auto const batch = static_cast<std::size_t>(p.problem.batch);
      T* const slopes = kept.template map<T>(kept.slopes, batch);
      std::fill_n(slopes, kept.extent.size() * batch, T{0});
      copy_channels(p.problem, slopes, kept.extent, kept.margin(in), dy, first,
                    kept.extent.channels, [](T& to, T from) { to = from; });
      first += kept.extent.channels;
    }
  }

 private:
  // move(map value, gathered value) for every pixel and `count` channels: `map` from `margin` on in
  // both directions, the gathered map from channel `first` on.
  template <class U, class Move>
  static void copy_channels(layer_problem const& problem, U* map, shape extent, int margin,
                            view<T, 4> gathered, int first, int count, Move const& move) {
    for (int n = 0; n < problem.batch; ++n)
      for (int r = 0; r < problem.in.height; ++r) {
        U* pixel =
            map + ((static_cast<std::ptrdiff_t>(n) * extent.height + r + margin) * extent.width +
                   margin) *
                      extent.channels;
        for (int c = 0; c < problem.in.width; ++c, pixel += extent.channels) {
          T* const to = &gathered(n, r, c, first);
          for (int k = 0; k < count; ++k) move(pixel[k], to[k]);
        }
      }
  }
};

}  // namespace septum::inline SEPTUM_ABI::detail
