#pragma once
#include <septum/core/config.hpp>
#include <septum/core/error.hpp>
#include <septum/exec/for_each.hpp>
#include <septum/image/detail/bit_image.hpp>
#include <septum/image/detail/contour_words.hpp>
#include <septum/image/detail/separation.hpp>
#include <septum/image/types.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// Morphological active contours (Marquez-Neila, Baumela and Alvarez 2014): a binary image evolves
/// by a data term at its contour, a smoothing step, and a constraint, each a policy. The pixels are
/// kept as bits, so that an iteration costs about as much as a few copies of the image.
namespace septum::inline SEPTUM_ABI {

/// What a data term sees of 64 pixels of one row.
struct contour_word {
  std::ptrdiff_t row = 0;
  std::ptrdiff_t column = 0;  ///< of bit 0
  /// pixels whose left and right, or upper and lower, neighbours differ; no others may change
  std::uint64_t band = 0;
  /// the neighbours of each pixel; at the image border the pixel itself stands in
  std::uint64_t left = 0, right = 0, above = 0, below = 0;
};
/// Which pixels of a contour word become set and which unset.
struct contour_vote {
  std::uint64_t set = 0;
  std::uint64_t clear = 0;
};

/// A data term: a value with its parameters, whose `state`, made from (term, intensities, first
/// contour, threads), votes on words and is told of each new contour. A state that has `inflate`
/// moves the contour before the vote.
template <class D>
concept DataTerm = std::copyable<D> &&
    requires(D const term, view<float const, 2> pixels, detail::bit_image const& contour,
             typename D::state state, exec::threads threads) {
  requires std::constructible_from<typename D::state, D const&, view<float const, 2>,
                                   detail::bit_image const&, exec::threads>;
  { std::as_const(state).vote(contour_word{}) } -> std::same_as<contour_vote>;
  state.update(contour, contour, threads);
};

/// A smoothing: `apply(image, scratch, phase, threads)`, where `phase` counts its own past steps.
template <class S>
concept Smoothing = std::copyable<S> && requires(S const smoothing, detail::bit_image& pixels,
                                                 std::int64_t& phase, exec::threads threads) {
  smoothing.apply(pixels, pixels, phase, threads);
};

/// A constraint: its `state` looks at the contour before an iteration and takes pixels away after.
template <class C>
concept Constraint = std::copyable<C> &&
    requires(C const constraint, typename C::state state, detail::bit_image const& before,
             detail::bit_image& after, exec::threads threads) {
  requires std::constructible_from<typename C::state, C const&, detail::bit_image const&>;
  state.prepare(before, threads);
  state.apply(after, threads);
};

namespace detail {

/// Sums of `pixels` intensities up to `largest`, in units of 2^-exponent, fit 64 bits.
[[nodiscard]] inline int intensity_exponent(float largest, std::ptrdiff_t pixels) {
  auto const count_bits = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(pixels)));
  return largest > 0 ? 61 - count_bits - std::ilogb(largest) : 0;
}

/// \throws shape_error `septum.evolve.1` when extents differ or a side is below 2 pixels.
inline void require_contour_extent(view<float const, 2> pixels, std::ptrdiff_t rows,
                                   std::ptrdiff_t columns) {
  auto const text = [](std::ptrdiff_t height, std::ptrdiff_t width) {
    return std::to_string(height) + " x " + std::to_string(width);
  };
  SEPTUM_EXPECTS(
      pixels.extent(0) == rows && pixels.extent(1) == columns && rows >= 2 && columns >= 2,
      shape_error("septum.evolve.1",
                  "contour of " + text(rows, columns) +
                      ": expected an image of the same extent and at least 2 x 2 pixels, found " +
                      text(pixels.extent(0), pixels.extent(1))));
}

/// Sums of intensities as integers: exact, so that they do not depend on the order of summation
/// and can follow a contour pixel by pixel. The step is 2^-40 of the largest intensity or finer.
class intensity_sum {
 public:
  intensity_sum() = default;
  intensity_sum(view<float const, 2> pixels, exec::threads threads) : pixels_{pixels} {
    std::vector<float> largest(static_cast<std::size_t>(pixels.extent(0)), 0.0F);
    for_each_range(threads, pixels.extent(0), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      for (std::ptrdiff_t r = begin; r < end; ++r)
        for (std::ptrdiff_t c = 0; c < pixels.extent(1); ++c)
          largest[static_cast<std::size_t>(r)] =
              std::max(largest[static_cast<std::size_t>(r)], std::abs(row(r)[c]));
    });
    float const top = *std::max_element(largest.begin(), largest.end());
    exponent_ = intensity_exponent(top, pixels.size());
    scale_ = std::ldexp(1.0, exponent_);
  }
  [[nodiscard]] std::int64_t of(std::ptrdiff_t r, std::ptrdiff_t c) const {
    return std::llrint(static_cast<double>(row(r)[c]) * scale_);
  }
  [[nodiscard]] double value(std::int64_t sum) const {
    return std::ldexp(static_cast<double>(sum), -exponent_);
  }

 private:
  [[nodiscard]] float const* row(std::ptrdiff_t r) const {
    return pixels_.data() + r * pixels_.stride(0);
  }
  view<float const, 2> pixels_{};
  int exponent_ = 0;
  double scale_ = 1.0;
};

}  // namespace detail

/// Chan and Vese's data term ("active contours without edges"): a pixel at the contour goes to the
/// side whose mean it is nearer to. scikit-image's `morphological_chan_vese`.
struct chan_vese {
  /// weights of the squared distances to the mean inside and to the mean outside; a larger weight
  /// outside lets the contour grow
  double lambda_inside = 1;
  double lambda_outside = 1;

  class state;
};

class chan_vese::state {
 public:
  state() = default;
  state(chan_vese term, view<float const, 2> pixels, detail::bit_image const& contour,
        exec::threads threads)
      : term_{term}, pixels_{pixels}, intensity_{pixels, threads} {
    for_each_row_sum(threads, contour, [&](std::ptrdiff_t r, sums& row) {
      for (std::ptrdiff_t c = 0; c < pixels_.extent(1); ++c) row.all += intensity_.of(r, c);
      for (std::ptrdiff_t k = 0; k < contour.words(); ++k)
        detail::for_each_bit(contour.row(r)[k], [&](int bit) {
          row.inside += intensity_.of(r, 64 * k + bit);
          ++row.pixels;
        });
    });
    set_means();
  }

  [[nodiscard]] contour_vote vote(contour_word const& word) const {
    float const* const values = pixels_.data() + word.row * pixels_.stride(0) + word.column;
    contour_vote result;
    detail::for_each_bit(word.band, [&](int bit) {
      auto const value = static_cast<double>(values[bit]);
      double const force = detail::chan_vese_force(value, mean_inside_, mean_outside_,
                                                   term_.lambda_inside, term_.lambda_outside);
      result.set |= static_cast<std::uint64_t>(force < 0) << static_cast<unsigned>(bit);
      result.clear |= static_cast<std::uint64_t>(force > 0) << static_cast<unsigned>(bit);
    });
    return result;
  }

  void update(detail::bit_image const& before, detail::bit_image const& after,
              exec::threads threads) {
    for_each_row_sum(threads, after, [&](std::ptrdiff_t r, sums& row) {
      for (std::ptrdiff_t k = 0; k < after.words(); ++k) {
        std::uint64_t const now = after.row(r)[k];
        detail::for_each_bit(now ^ before.row(r)[k], [&](int bit) {
          std::int64_t const sign = ((now >> static_cast<unsigned>(bit)) & 1U) != 0 ? 1 : -1;
          row.inside += sign * intensity_.of(r, 64 * k + bit);
          row.pixels += sign;
        });
      }
    });
    set_means();
  }

  [[nodiscard]] double mean_inside() const { return mean_inside_; }
  [[nodiscard]] double mean_outside() const { return mean_outside_; }

 private:
  struct sums {
    std::int64_t all = 0;
    std::int64_t inside = 0;
    std::int64_t pixels = 0;
  };
  template <class RowSum>
  void for_each_row_sum(exec::threads threads, detail::bit_image const& contour,
                        RowSum const& row_sum) {
    std::vector<sums> rows(static_cast<std::size_t>(contour.rows()));
    for_each_range(threads, contour.rows(), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      for (std::ptrdiff_t r = begin; r < end; ++r) row_sum(r, rows[static_cast<std::size_t>(r)]);
    });
    for (sums const& row : rows) {
      total_.all += row.all;
      total_.inside += row.inside;
      total_.pixels += row.pixels;
    }
  }
  /// With 1e-8 beside the counts, as in the peer: an empty side has mean 0.
  void set_means() {
    auto const outside = static_cast<double>(pixels_.size() - total_.pixels);
    mean_inside_ = intensity_.value(total_.inside) / (static_cast<double>(total_.pixels) + 1e-8);
    mean_outside_ = intensity_.value(total_.all - total_.inside) / (outside + 1e-8);
  }

  chan_vese term_{};
  view<float const, 2> pixels_{};
  detail::intensity_sum intensity_{};
  sums total_{};
  double mean_inside_ = 0;
  double mean_outside_ = 0;
};

/// Geodesic data term: the contour is drawn to valleys of the given image, which is near 0 at edges
/// and 1 elsewhere (`inverse_gaussian_gradient`), and a balloon force moves it where the image is
/// above a threshold. scikit-image's `morphological_geodesic_active_contour`.
struct geodesic {
  /// > 0 grows the contour, < 0 shrinks it, 0 leaves it to the edges
  double balloon = 0;
  /// the balloon acts where the image is above threshold / |balloon|; default its 40th percentile
  std::optional<double> threshold{};

  class state;
};

class geodesic::state {
 public:
  state() = default;
  state(geodesic const& term, view<float const, 2> pixels, detail::bit_image const& contour,
        exec::threads threads)
      : term_{term}, pixels_{pixels} {
    if (term_.balloon == 0) return;
    double const level =
        (term_.threshold ? *term_.threshold : percentile_40()) / std::abs(term_.balloon);
    free_ = detail::bit_image{contour.rows(), contour.columns()};
    for_each_range(threads, contour.rows(), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      for (std::ptrdiff_t r = begin; r < end; ++r)
        for (std::ptrdiff_t c = 0; c < contour.columns(); ++c)
          if (static_cast<double>(pixels_(r, c)) > level) free_.set(r, c);
    });
  }

  /// Dilates or erodes the contour where the balloon acts.
  void inflate(detail::bit_image const& from, detail::bit_image& to, exec::threads threads) const {
    if (term_.balloon == 0) {
      to = from;
      return;
    }
    if (term_.balloon > 0)
      detail::for_each_row(from, to, detail::dilate_by_square, threads);
    else
      detail::for_each_row(from, to, detail::erode_by_square, threads);
    for (std::ptrdiff_t r = 0; r < from.rows(); ++r)
      for (std::ptrdiff_t k = 0; k < from.words(); ++k) {
        std::uint64_t const acts = free_.row(r)[k];
        to.row(r)[k] = (to.row(r)[k] & acts) | (from.row(r)[k] & ~acts);
      }
  }

  [[nodiscard]] contour_vote vote(contour_word const& word) const {
    contour_vote result;
    detail::for_each_bit(word.band, [&](int bit) {
      auto const at = static_cast<unsigned>(bit);
      std::ptrdiff_t const c = word.column + bit;
      double const force =
          slope(word.row, c, 1, 0) * contour_slope(word.above, word.below, at, row_step(word)) +
          slope(word.row, c, 0, 1) * contour_slope(word.left, word.right, at, column_step(c));
      result.set |= static_cast<std::uint64_t>(force > 0) << at;
      result.clear |= static_cast<std::uint64_t>(force < 0) << at;
    });
    return result;
  }
  void update(detail::bit_image const&, detail::bit_image const&, exec::threads) {}

 private:
  /// Central difference, one-sided at the border.
  [[nodiscard]] double slope(std::ptrdiff_t r, std::ptrdiff_t c, std::ptrdiff_t dr,
                             std::ptrdiff_t dc) const {
    std::ptrdiff_t const last_row = pixels_.extent(0) - 1;
    std::ptrdiff_t const last_column = pixels_.extent(1) - 1;
    std::ptrdiff_t const r0 = std::max<std::ptrdiff_t>(r - dr, 0);
    std::ptrdiff_t const r1 = std::min(r + dr, last_row);
    std::ptrdiff_t const c0 = std::max<std::ptrdiff_t>(c - dc, 0);
    std::ptrdiff_t const c1 = std::min(c + dc, last_column);
    double const difference =
        static_cast<double>(pixels_(r1, c1)) - static_cast<double>(pixels_(r0, c0));
    return difference / static_cast<double>((r1 - r0) + (c1 - c0));
  }
  [[nodiscard]] double row_step(contour_word const& word) const {
    return word.row == 0 || word.row == pixels_.extent(0) - 1 ? 1.0 : 0.5;
  }
  [[nodiscard]] double column_step(std::ptrdiff_t c) const {
    return c == 0 || c == pixels_.extent(1) - 1 ? 1.0 : 0.5;
  }
  [[nodiscard]] static double contour_slope(std::uint64_t before, std::uint64_t after, unsigned bit,
                                            double step) {
    return step *
           (static_cast<double>((after >> bit) & 1U) - static_cast<double>((before >> bit) & 1U));
  }
  /// numpy's 40th percentile: linear between the two values around 0.4 (n - 1).
  [[nodiscard]] double percentile_40() const {
    std::vector<float> values;
    for (std::ptrdiff_t r = 0; r < pixels_.extent(0); ++r)
      values.insert(values.end(), &pixels_(r, 0), &pixels_(r, 0) + pixels_.extent(1));
    double const position = 0.4 * static_cast<double>(values.size() - 1);
    auto const lower = values.begin() + static_cast<std::ptrdiff_t>(position);
    std::nth_element(values.begin(), lower, values.end());
    double const part = position - std::floor(position);
    auto const low = static_cast<double>(*lower);
    if (part == 0) return low;
    auto const high = static_cast<double>(*std::min_element(lower + 1, values.end()));
    return part < 0.5 ? low + (high - low) * part : high - (high - low) * (1 - part);
  }

  geodesic term_{};
  view<float const, 2> pixels_{};
  detail::bit_image free_{};
};

/// Curvature flow by lines of three pixels: SI(IS(.)) and IS(SI(.)) by turns, beginning with the
/// former at each new contour. (The peers keep the turn in a global variable, so that their results
/// depend on what ran before.)
struct curvature_smoothing {
  /// of each iteration; 0 leaves the contour rough
  int steps = 1;

  void apply(detail::bit_image& pixels, detail::bit_image& scratch, std::int64_t& phase,
             exec::threads threads) const {
    for (int step = 0; step < steps; ++step, ++phase) {
      bool const inner_first = phase % 2 == 0;
      detail::for_each_row(
          pixels, scratch,
          inner_first ? detail::set_where_every_line_is_met : detail::keep_on_a_full_line, threads);
      detail::for_each_row(
          scratch, pixels,
          inner_first ? detail::keep_on_a_full_line : detail::set_where_every_line_is_met, threads);
    }
  }
};

/// No constraint: contours that meet become one.
struct unconstrained {
  struct state {
    state() = default;
    state(unconstrained, detail::bit_image const&) {}
    void prepare(detail::bit_image const&, exec::threads) {}
    void apply(detail::bit_image&, exec::threads) {}
  };
};

/// The first contour stays inside whatever the data say, so that no seed is lost.
struct keep_start {
  class state {
   public:
    state() = default;
    state(keep_start, detail::bit_image const& contour) : start_{contour} {}
    void prepare(detail::bit_image const&, exec::threads) {}
    void apply(detail::bit_image& contour, exec::threads) const {
      for (std::ptrdiff_t r = 0; r < contour.rows(); ++r)
        for (std::ptrdiff_t k = 0; k < contour.words(); ++k) contour.row(r)[k] |= start_.row(r)[k];
    }

   private:
    detail::bit_image start_;
  };
};

/// The published constraint: after each iteration, pixels at the border between the regions nearest
/// to two components of the contour before it are cleared on both sides, so that components never
/// touch and a gap of two pixels remains between them. (Components 4-connected, Euclidean distance;
/// of equally near pixels the one in the smaller column, then the smaller row, counts, as mahotas'
/// `gvoronoi` does.)
struct separate_components {
  class state : public detail::component_separation {
   public:
    state() = default;
    state(separate_components, detail::bit_image const& contour)
        : detail::component_separation{contour.rows(), contour.columns()} {}
  };
};

/// A morphological active contour put together from its parts.
template <DataTerm Data, Smoothing Smooth = curvature_smoothing,
          Constraint Constrain = unconstrained>
struct morphological_contour {
  Data data{};
  Smooth smoothing{};
  Constrain constraint{};
  int iterations = 120;

  /// Evolves the contour of `start` (non-zero is inside) over `pixels`; both row, column.
  /// \returns 1 inside, 0 outside.
  /// \throws shape_error `septum.evolve.1` when extents differ or a side is below 2 pixels.
  [[nodiscard]] mask operator()(view<float const, 2> pixels, mask const& start,
                                exec::threads threads = {}) const;
};

using chan_vese_contour = morphological_contour<chan_vese>;
using geodesic_contour = morphological_contour<geodesic>;

/// Anything that moves a contour over an image: (intensities, first contour, threads) to mask.
template <class E>
concept Evolver = std::copyable<E> && requires(E const evolver, view<float const, 2> pixels,
                                               mask const& start, exec::threads threads) {
  { evolver(pixels, start, threads) } -> std::same_as<mask>;
};

/// A contour on its way: one iteration at a time. Results never depend on the threads.
template <DataTerm Data, Smoothing Smooth, Constraint Constrain>
class contour_evolution {
 public:
  contour_evolution(morphological_contour<Data, Smooth, Constrain> const& contour,
                    view<float const, 2> pixels, mask const& start, exec::threads threads = {})
      : smoothing_{contour.smoothing}, threads_{threads}, now_{start} {
    detail::require_contour_extent(pixels, now_.rows(), now_.columns());
    data_ = typename Data::state(contour.data, pixels, now_, threads);
    constraint_ = typename Constrain::state(contour.constraint, now_);
    before_ = before_last_ = next_ = scratch_ = now_;
  }

  /// One iteration.
  void step() {
    constraint_.prepare(now_, threads_);
    if constexpr (requires { data_.inflate(now_, scratch_, threads_); }) {
      data_.inflate(now_, scratch_, threads_);
      vote(scratch_);
    } else {
      vote(now_);
    }
    smoothing_.apply(next_, scratch_, phase_, threads_);
    constraint_.apply(next_, threads_);
    data_.update(now_, next_, threads_);
    std::swap(before_last_, before_);
    std::swap(before_, now_);
    std::swap(now_, next_);
    ++steps_;
  }

  /// Up to `iterations` steps. A contour that repeats itself every one or two steps is left as soon
  /// as it does, in the state in which it would have ended.
  void run(int iterations) {
    for (int left = iterations; left > 0;) {
      step();
      --left;
      if (repeats()) left %= 2;
    }
  }

  /// True when the contour is what it was two steps ago, in the same phase of smoothing: from here
  /// on it only alternates or stands still.
  [[nodiscard]] bool repeats() const { return steps_ >= 2 && now_ == before_last_; }
  /// True when the last two steps changed nothing.
  [[nodiscard]] bool converged() const { return repeats() && now_ == before_; }
  [[nodiscard]] int steps() const { return steps_; }
  /// 1 inside, 0 outside.
  [[nodiscard]] mask contour() const { return now_.to_mask(); }
  [[nodiscard]] typename Data::state const& data() const { return data_; }

 private:
  /// next_ = from, changed where the data term says so.
  void vote(detail::bit_image const& from) {
    std::ptrdiff_t const words = from.words();
    for_each_range(threads_, from.rows(), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      for (std::ptrdiff_t r = begin; r < end; ++r) {
        std::uint64_t const* const here = from.row(r);
        std::uint64_t const* const above = r > 0 ? from.row(r - 1) : here;
        std::uint64_t const* const below = r + 1 < from.rows() ? from.row(r + 1) : here;
        std::uint64_t* const out = next_.row(r);
        for (std::ptrdiff_t k = 0; k < words; ++k) {
          bool const is_last = k == words - 1;
          auto const around = detail::neighbours_of(above + k, here + k, below + k, k == 0, is_last,
                                                    is_last ? from.last_word() : ~std::uint64_t{0});
          contour_word const word{
              r, 64 * k, around.band, around.left, around.right, around.above, around.below};
          out[k] = here[k];
          if (word.band == 0) continue;
          contour_vote const result = data_.vote(word);
          out[k] = (here[k] | result.set) & ~result.clear;
        }
      }
    });
  }

  Smooth smoothing_;
  exec::threads threads_;
  detail::bit_image now_;
  detail::bit_image before_;
  detail::bit_image before_last_;
  detail::bit_image next_;
  detail::bit_image scratch_;
  typename Data::state data_{};
  typename Constrain::state constraint_{};
  std::int64_t phase_ = 0;
  int steps_ = 0;
};

template <DataTerm Data, Smoothing Smooth, Constraint Constrain>
mask morphological_contour<Data, Smooth, Constrain>::operator()(view<float const, 2> pixels,
                                                                mask const& start,
                                                                exec::threads threads) const {
  contour_evolution<Data, Smooth, Constrain> evolution{*this, pixels, start, threads};
  evolution.run(iterations);
  return evolution.contour();
}

}  // namespace septum::inline SEPTUM_ABI
