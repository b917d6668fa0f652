#pragma once
#include <septum/backend/detail/tapped_maps.hpp>
#include <septum/backend/problem.hpp>
#include <septum/core/rng.hpp>
#include <septum/nn/layers.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// The oracle: every kernel as plain loops over the definition, forward and backward, for float and
/// double. Complete and slow; all other backends are tested against it.
struct reference {
  using memory_space = host_space;
  using fallback = void;
  static constexpr std::string_view name = "reference";
};

/// Threads, and the maps that multi-resolution nets keep for their gather. Moves, does not copy.
template <>
struct context<reference> {
  exec::threads threads{};
  detail::tapped_maps taps{};
};

namespace detail {

// What kernels without parameters share.
template <class T>
struct reference_stateless {
  struct plan {
    layer_problem problem;
  };
  struct packed {};
  static plan prepare(context<reference>&, layer_problem const& problem) { return {problem}; }
  static packed pack(context<reference>&, plan const&, std::span<T const>) { return {}; }
};

// dy <- dy where y > 0, else 0: the gradient through a relu that the kernel applied itself.
template <class T>
void mask_by_relu(view<T const, 4> y, view<T, 4> dy) {
  for (std::ptrdiff_t i = 0; i < y.size(); ++i)
    if (!(y.data()[i] > T{0})) dy.data()[i] = T{0};
}

}  // namespace detail

template <class T>
struct kernel<reference, kind::conv, T> {
  struct plan {
    layer_problem problem;
  };
  struct packed {
    std::vector<T> parameters;  // weights (filter, row, column, channel), then bias
  };
  struct saved {};

  static plan prepare(context<reference>&, layer_problem const& problem) { return {problem}; }
  static packed pack(context<reference>&, plan const&, std::span<T const> parameters) {
    return {{parameters.begin(), parameters.end()}};
  }
  static saved make_saved(context<reference>&, plan const&) { return {}; }

  static void forward(context<reference>&, plan const& p, packed const& w, view<T const, 4> x,
                      view<T, 4> y) {
    int const batch = p.problem.batch;
    shape const out = p.problem.out;
    T const* const bias =
        w.parameters.data() + w.parameters.size() - static_cast<std::size_t>(out.channels);
    for (int n = 0; n < batch; ++n)
      for (int r = 0; r < out.height; ++r)
        for (int c = 0; c < out.width; ++c)
          for (int f = 0; f < out.channels; ++f) {
            T sum = bias[f];
            for_each_tap(p.problem, f, [&](int i, int j, int k, std::size_t weight) {
              sum += w.parameters[weight] * x(n, r + i, c + j, k);
            });
            y(n, r, c, f) = p.problem.relu && !(sum > T{0}) ? T{0} : sum;
          }
  }

  static void forward_train(context<reference>& ctx, plan const& p, packed const& w, saved&,
                            view<T const, 4> x, view<T, 4> y, counter_rng) {
    forward(ctx, p, w, x, y);
  }

  static void backward(context<reference>&, plan const& p, packed const& w, saved const&,
                       view<T const, 4> x, view<T const, 4> y, view<T, 4> dy, view<T, 4> dx,
                       std::span<T> dparameters) {
    int const batch = p.problem.batch;
    shape const out = p.problem.out;
    bool const input_gradient = p.problem.input_gradient;
    if (p.problem.relu) detail::mask_by_relu<T>(y, dy);
    std::fill(dparameters.begin(), dparameters.end(), T{0});
    T* const dbias =
        dparameters.data() + dparameters.size() - static_cast<std::size_t>(out.channels);
    if (input_gradient) std::fill(dx.data(), dx.data() + dx.size(), T{0});
    for (int n = 0; n < batch; ++n)
      for (int r = 0; r < out.height; ++r)
        for (int c = 0; c < out.width; ++c)
          for (int f = 0; f < out.channels; ++f) {
            T const slope = dy(n, r, c, f);
            dbias[f] += slope;
            for_each_tap(p.problem, f, [&](int i, int j, int k, std::size_t weight) {
              dparameters[weight] += slope * x(n, r + i, c + j, k);
              if (input_gradient) dx(n, r + i, c + j, k) += slope * w.parameters[weight];
            });
          }
  }

 private:
  // Calls tap(row offset, column offset, channel, weight index) for one filter.
  template <class Tap>
  static void for_each_tap(layer_problem const& problem, int filter, Tap const& tap) {
    int const kernel = problem.geometry.kernel;
    int const dilation = problem.geometry.dilation;
    auto weight = static_cast<std::size_t>(filter) * static_cast<std::size_t>(kernel * kernel) *
                  static_cast<std::size_t>(problem.in.channels);
    for (int i = 0; i < kernel; ++i)
      for (int j = 0; j < kernel; ++j)
        for (int k = 0; k < problem.in.channels; ++k) tap(i * dilation, j * dilation, k, weight++);
  }
};

template <class T>
struct kernel<reference, kind::max_pool, T> : detail::reference_stateless<T> {
  using base = detail::reference_stateless<T>;
  using typename base::packed;
  using typename base::plan;
  struct saved {};
  static saved make_saved(context<reference>&, plan const&) { return {}; }

  static void forward(context<reference>&, plan const& p, packed const&, view<T const, 4> x,
                      view<T, 4> y) {
    auto const& problem = p.problem;
    for (int n = 0; n < problem.batch; ++n)
      for (int r = 0; r < problem.out.height; ++r)
        for (int c = 0; c < problem.out.width; ++c)
          for (int k = 0; k < problem.out.channels; ++k) {
            auto const [row, column] = largest(problem, x, n, r, c, k);
            y(n, r, c, k) = x(n, row, column, k);
          }
  }
  static void forward_train(context<reference>& ctx, plan const& p, packed const& w, saved&,
                            view<T const, 4> x, view<T, 4> y, counter_rng) {
    forward(ctx, p, w, x, y);
  }
  /// The gradient goes to the first maximum of the window in row-major order.
  static void backward(context<reference>&, plan const& p, packed const&, saved const&,
                       view<T const, 4> x, view<T const, 4>, view<T, 4> dy, view<T, 4> dx,
                       std::span<T>) {
    auto const& problem = p.problem;
    if (!problem.input_gradient) return;
    std::fill(dx.data(), dx.data() + dx.size(), T{0});
    for (int n = 0; n < problem.batch; ++n)
      for (int r = 0; r < problem.out.height; ++r)
        for (int c = 0; c < problem.out.width; ++c)
          for (int k = 0; k < problem.out.channels; ++k) {
            auto const [row, column] = largest(problem, x, n, r, c, k);
            dx(n, row, column, k) += dy(n, r, c, k);
          }
  }

 private:
  struct position {
    int row;
    int column;
  };
  static position largest(layer_problem const& problem, view<T const, 4> x, int n, int r, int c,
                          int k) {
    auto const& g = problem.geometry;
    position best{r * g.stride, c * g.stride};
    for (int i = 0; i < g.kernel; ++i)
      for (int j = 0; j < g.kernel; ++j) {
        position const here{r * g.stride + i * g.dilation, c * g.stride + j * g.dilation};
        if (x(n, here.row, here.column, k) > x(n, best.row, best.column, k)) best = here;
      }
    return best;
  }
};

template <class T>
struct kernel<reference, kind::batch_norm, T> {
  struct plan {
    layer_problem problem;
  };
  struct packed {
    std::vector<T> parameters;  // gamma, beta, running mean, running deviation
  };
  struct saved {
    std::vector<double> mean;
    std::vector<double> deviation;
  };

  static plan prepare(context<reference>&, layer_problem const& problem) { return {problem}; }
  static packed pack(context<reference>&, plan const&, std::span<T const> parameters) {
    return {{parameters.begin(), parameters.end()}};
  }
  static saved make_saved(context<reference>&, plan const& p) {
    auto const channels = static_cast<std::size_t>(p.problem.in.channels);
    return {std::vector<double>(channels), std::vector<double>(channels)};
  }

  static void forward(context<reference>&, plan const& p, packed const& w, view<T const, 4> x,
                      view<T, 4> y) {
    auto const channels = static_cast<std::size_t>(p.problem.in.channels);
    for (std::ptrdiff_t i = 0; i < x.size(); ++i) {
      auto const k = static_cast<std::size_t>(i) % channels;
      normalise(p, w, x.data()[i], static_cast<double>(w.parameters[2 * channels + k]),
                static_cast<double>(w.parameters[3 * channels + k]), k, y.data()[i]);
    }
  }

  static void forward_train(context<reference>&, plan const& p, packed const& w, saved& s,
                            view<T const, 4> x, view<T, 4> y, counter_rng) {
    auto const channels = static_cast<std::size_t>(p.problem.in.channels);
    auto const count = static_cast<double>(x.size()) / static_cast<double>(channels);
    std::fill(s.mean.begin(), s.mean.end(), 0.0);
    std::fill(s.deviation.begin(), s.deviation.end(), 0.0);
    for (std::ptrdiff_t i = 0; i < x.size(); ++i)
      s.mean[static_cast<std::size_t>(i) % channels] += static_cast<double>(x.data()[i]) / count;
    for (std::ptrdiff_t i = 0; i < x.size(); ++i) {
      auto const k = static_cast<std::size_t>(i) % channels;
      double const centred = static_cast<double>(x.data()[i]) - s.mean[k];
      s.deviation[k] += centred * centred / count;
    }
    for (double& deviation : s.deviation) deviation = std::sqrt(deviation + batch_norm::epsilon);
    for (std::ptrdiff_t i = 0; i < x.size(); ++i) {
      auto const k = static_cast<std::size_t>(i) % channels;
      normalise(p, w, x.data()[i], s.mean[k], s.deviation[k], k, y.data()[i]);
    }
  }

  static void backward(context<reference>&, plan const& p, packed const& w, saved const& s,
                       view<T const, 4> x, view<T const, 4> y, view<T, 4> dy, view<T, 4> dx,
                       std::span<T> dparameters) {
    auto const channels = static_cast<std::size_t>(p.problem.in.channels);
    auto const count = static_cast<double>(x.size()) / static_cast<double>(channels);
    if (p.problem.relu) detail::mask_by_relu<T>(y, dy);
    std::vector<double> sum(channels);          // of dy
    std::vector<double> sum_centred(channels);  // of dy * (x - mean)
    for (std::ptrdiff_t i = 0; i < x.size(); ++i) {
      auto const k = static_cast<std::size_t>(i) % channels;
      auto const slope = static_cast<double>(dy.data()[i]);
      sum[k] += slope;
      sum_centred[k] += slope * (static_cast<double>(x.data()[i]) - s.mean[k]);
    }
    for (std::size_t k = 0; k < channels; ++k) {
      dparameters[k] = static_cast<T>(sum_centred[k] / (s.deviation[k] + batch_norm::epsilon));
      dparameters[channels + k] = static_cast<T>(sum[k]);
      dparameters[2 * channels + k] = static_cast<T>(s.mean[k]);
      dparameters[3 * channels + k] = static_cast<T>(s.deviation[k]);
    }
    if (!p.problem.input_gradient) return;
    for (std::ptrdiff_t i = 0; i < x.size(); ++i) {
      auto const k = static_cast<std::size_t>(i) % channels;
      double const denominator = s.deviation[k] + batch_norm::epsilon;
      double const centred = static_cast<double>(x.data()[i]) - s.mean[k];
      // d deviation / d x_i = centred_i / (count * deviation); the mean's own term cancels there.
      double const through_deviation =
          centred * sum_centred[k] / (count * s.deviation[k] * denominator);
      dx.data()[i] =
          static_cast<T>(static_cast<double>(w.parameters[k]) / denominator *
                         (static_cast<double>(dy.data()[i]) - sum[k] / count - through_deviation));
    }
  }

 private:
  static void normalise(plan const& p, packed const& w, T x, double mean, double deviation,
                        std::size_t k, T& y) {
    auto const channels = static_cast<std::size_t>(p.problem.in.channels);
    double const gamma = static_cast<double>(w.parameters[k]);
    double const beta = static_cast<double>(w.parameters[channels + k]);
    double const value =
        (static_cast<double>(x) - mean) * gamma / (deviation + batch_norm::epsilon) + beta;
    y = static_cast<T>(p.problem.relu && !(value > 0.0) ? 0.0 : value);
  }
};

template <class Functor, class T>
struct kernel<reference, kind::pointwise<Functor>, T> : detail::reference_stateless<T> {
  using base = detail::reference_stateless<T>;
  using typename base::packed;
  using typename base::plan;
  struct saved {};
  static saved make_saved(context<reference>&, plan const&) { return {}; }

  static void forward(context<reference>&, plan const&, packed const&, view<T const, 4> x,
                      view<T, 4> y) {
    for (std::ptrdiff_t i = 0; i < x.size(); ++i) y.data()[i] = Functor::value(x.data()[i]);
  }
  static void forward_train(context<reference>& ctx, plan const& p, packed const& w, saved&,
                            view<T const, 4> x, view<T, 4> y, counter_rng) {
    forward(ctx, p, w, x, y);
  }
  static void backward(context<reference>&, plan const& p, packed const&, saved const&,
                       view<T const, 4> x, view<T const, 4> y, view<T, 4> dy, view<T, 4> dx,
                       std::span<T>) {
    if (!p.problem.input_gradient) return;
    for (std::ptrdiff_t i = 0; i < x.size(); ++i)
      dx.data()[i] = dy.data()[i] * Functor::slope(x.data()[i], y.data()[i]);
  }
};

template <class T>
struct kernel<reference, kind::softmax, T> : detail::reference_stateless<T> {
  using base = detail::reference_stateless<T>;
  using typename base::packed;
  using typename base::plan;
  struct saved {};
  static saved make_saved(context<reference>&, plan const&) { return {}; }

  static void forward(context<reference>&, plan const& p, packed const&, view<T const, 4> x,
                      view<T, 4> y) {
    std::ptrdiff_t const channels = p.problem.in.channels;
    for (std::ptrdiff_t begin = 0; begin < x.size(); begin += channels) {
      T const* const in = x.data() + begin;
      T* const out = y.data() + begin;
      T const largest = *std::max_element(in, in + channels);
      T sum{0};
      for (std::ptrdiff_t k = 0; k < channels; ++k) sum += out[k] = std::exp(in[k] - largest);
      for (std::ptrdiff_t k = 0; k < channels; ++k) out[k] /= sum;
    }
  }
  static void forward_train(context<reference>& ctx, plan const& p, packed const& w, saved&,
                            view<T const, 4> x, view<T, 4> y, counter_rng) {
    forward(ctx, p, w, x, y);
  }
  static void backward(context<reference>&, plan const& p, packed const&, saved const&,
                       view<T const, 4> x, view<T const, 4> y, view<T, 4> dy, view<T, 4> dx,
                       std::span<T>) {
    if (!p.problem.input_gradient) return;
    std::ptrdiff_t const channels = p.problem.in.channels;
    for (std::ptrdiff_t begin = 0; begin < x.size(); begin += channels) {
      T weighted{0};
      for (std::ptrdiff_t k = 0; k < channels; ++k)
        weighted += dy.data()[begin + k] * y.data()[begin + k];
      for (std::ptrdiff_t k = 0; k < channels; ++k)
        dx.data()[begin + k] = y.data()[begin + k] * (dy.data()[begin + k] - weighted);
    }
  }
};

template <class T>
struct kernel<reference, kind::dropout, T> : detail::reference_stateless<T> {
  using base = detail::reference_stateless<T>;
  using typename base::packed;
  using typename base::plan;
  struct saved {
    counter_rng step{};
  };
  static saved make_saved(context<reference>&, plan const&) { return {}; }

  static void forward(context<reference>&, plan const&, packed const&, view<T const, 4> x,
                      view<T, 4> y) {
    std::copy(x.data(), x.data() + x.size(), y.data());
  }
  static void forward_train(context<reference>&, plan const& p, packed const&, saved& s,
                            view<T const, 4> x, view<T, 4> y, counter_rng step) {
    s.step = step;
    for (std::ptrdiff_t i = 0; i < x.size(); ++i) y.data()[i] = x.data()[i] * factor(p, s, i);
  }
  static void backward(context<reference>&, plan const& p, packed const&, saved const& s,
                       view<T const, 4> x, view<T const, 4>, view<T, 4> dy, view<T, 4> dx,
                       std::span<T>) {
    if (!p.problem.input_gradient) return;
    for (std::ptrdiff_t i = 0; i < x.size(); ++i) dx.data()[i] = dy.data()[i] * factor(p, s, i);
  }

 private:
  static T factor(plan const& p, saved const& s, std::ptrdiff_t i) {
    double const rate = p.problem.dropout_rate;
    return s.step.uniform(static_cast<std::uint64_t>(i)) < rate
               ? T{0}
               : static_cast<T>(1.0 / (1.0 - rate));
  }
};

template <int Number, int Jump, class T>
struct kernel<reference, kind::tap<Number, Jump>, T> : detail::tap_kernel<Number, Jump, T> {};

template <int... Numbers, class T>
struct kernel<reference, kind::gather<Numbers...>, T> : detail::gather_kernel<T, Numbers...> {};

}  // namespace septum::inline SEPTUM_ABI
