#pragma once
#include <septum/backend/detail/bordered_map.hpp>
#include <septum/backend/detail/host_winograd.hpp>
#include <septum/backend/problem.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/buffer.hpp>
#include <septum/exec/for_each.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

/// The three passes of a convolution in training by Winograd's minimal filtering: forward as in
/// inference; the gradient of the input as a convolution of the output's gradient with the windows
/// turned around, over a border of zeros; that of the weights as one product per point of the tiles
/// of both maps, brought back by the transposed transform of the weights. Sums over tiles run in
/// parts that are the same for any thread count, each in one thread, and are added in their order.
namespace septum::inline SEPTUM_ABI::detail {

/// Whether a layer is trained this way: where inference would be.
inline bool trains_by_winograd(layer_problem problem) {
  bool const trains = problem.training;
  problem.training = false;
  return trains && uses_winograd(problem);
}

/// The gradient of the input as a layer of its own, whose input has a border of zeros and as many
/// channels as registers want.
inline layer_problem turned_problem(layer_problem const& problem) {
  int const border = problem.geometry.extent() - 1;
  int const channels = (problem.out.channels + 15) / 16 * 16;
  return {.batch = problem.batch,
          .in = {problem.out.height + 2 * border, problem.out.width + 2 * border, channels},
          .out = problem.in,
          .geometry = problem.geometry};
}

#if defined(__x86_64__)

/// A matrix turned around times another: sums[f][k] = or += left[t][f] right[t][k].
struct winograd_sum {
  float const* left;
  std::ptrdiff_t left_step;  // values between terms
  float const* right;
  std::ptrdiff_t right_step;
  int terms;
  float* sums;
  std::ptrdiff_t sums_step;  // values between rows
  int rows;
  int columns;   // a multiple of 16
  bool goes_on;  // += what is there
};

template <class Registers, int Rows, int Count>
[[gnu::always_inline]] inline void add_products(winograd_sum const& sum, int row, int column) {
  using lanes = typename Registers::lanes;
  using in_memory = typename Registers::in_memory;
  constexpr int width = Registers::width;
  lanes sums[Rows][Count];
#  pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#  pragma GCC unroll 2
    for (int v = 0; v < Count; ++v)
      sums[r][v] = sum.goes_on ? *reinterpret_cast<in_memory const*>(
                                     sum.sums + (row + r) * sum.sums_step + column + v * width)
                               : lanes{};
  float const* left = sum.left + row;
  float const* right = sum.right + column;
  for (int t = 0; t < sum.terms; ++t, left += sum.left_step, right += sum.right_step) {
    lanes factors[Count];
#  pragma GCC unroll 2
    for (int v = 0; v < Count; ++v)
      factors[v] = *reinterpret_cast<in_memory const*>(right + v * width);
#  pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#  pragma GCC unroll 2
      for (int v = 0; v < Count; ++v) sums[r][v] += left[r] * factors[v];
  }
#  pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#  pragma GCC unroll 2
    for (int v = 0; v < Count; ++v)
      *reinterpret_cast<in_memory*>(sum.sums + (row + r) * sum.sums_step + column + v * width) =
          sums[r][v];
}
template <int Rows, int Count>
[[gnu::target("avx2,fma"), gnu::noinline]] inline void add_products_avx2(winograd_sum const& sum,
                                                                         int row, int column) {
  add_products<avx2_registers, Rows, Count>(sum, row, column);
}
template <int Rows, int Count>
[[gnu::target("avx512f"), gnu::noinline]] inline void add_products_avx512(winograd_sum const& sum,
                                                                          int row, int column) {
  add_products<avx512_registers, Rows, Count>(sum, row, column);
}
inline void add_products(instruction_set set, winograd_sum const& sum) {
  int const step = 2 * lane_count(set);
  for (int column = 0; column < sum.columns; column += step) {
    int row = 0;
    if (set == instruction_set::avx512 && column + step <= sum.columns) {
      for (; row + 8 <= sum.rows; row += 8) add_products_avx512<8, 2>(sum, row, column);
      for (; row < sum.rows; ++row) add_products_avx512<1, 2>(sum, row, column);
    } else if (set == instruction_set::avx512) {
      for (; row + 8 <= sum.rows; row += 8) add_products_avx512<8, 1>(sum, row, column);
      for (; row < sum.rows; ++row) add_products_avx512<1, 1>(sum, row, column);
    } else {
      for (; row + 4 <= sum.rows; row += 4) add_products_avx2<4, 2>(sum, row, column);
      for (; row < sum.rows; ++row) add_products_avx2<1, 2>(sum, row, column);
    }
  }
}

/// Weights at the 36 points, transformed in registers, because every training step needs them anew.
struct winograd_packing {
  layer_problem const& problem;
  float const* given;           // (channel or filter, tap, filter or channel)
  bool filters_are_contiguous;  // turned around, and taps from the last to the first; else channels
  int filters;                  // that exist
  int channels;

  /// Fills the blocks of filters [begin, end) of `w`, whose values are zero where nothing exists.
  template <class Registers, int Kernel>
  [[gnu::always_inline]] inline void pack(winograd_weights& w, int begin, int end) const {
    using lanes = typename Registers::lanes;
    using in_memory = typename Registers::in_memory;
    constexpr int width = Registers::width;
    constexpr std::ptrdiff_t taps = Kernel * Kernel;
    std::ptrdiff_t const inner = filters_are_contiguous ? filters : channels;  // multiples of 16
    int const outer_end = filters_are_contiguous ? channels : std::min(end, filters);
    int const inner_begin = filters_are_contiguous ? begin : 0;
    int const inner_end = filters_are_contiguous ? std::min(end, filters) : channels;
    for (int o = filters_are_contiguous ? 0 : begin; o < outer_end; ++o)
      for (int i = inner_begin; i < inner_end; i += width) {
        lanes points[36];
        float const* const window = given + o * taps * inner + i;
        if (filters_are_contiguous)
          winograd_window<Registers, Kernel>(window + (taps - 1) * inner, -inner, points);
        else
          winograd_window<Registers, Kernel>(window, inner, points);
        int const filter = filters_are_contiguous ? i : o;
        std::ptrdiff_t const channel = filters_are_contiguous ? o : i;
        int const first = filter / w.blocks.step() * w.blocks.step();
        std::ptrdiff_t const block = w.blocks.width(first);
        float* to = w.values.data() + std::ptrdiff_t{36} * problem.in.channels * first +
                    channel * block + filter - first;
        for (int point = 0; point < 36; ++point, to += problem.in.channels * block) {
          if (filters_are_contiguous)
            *reinterpret_cast<in_memory*>(to) = points[point];
          else
            for (int k = 0; k < width; ++k) to[k * block] = points[point][k];
        }
      }
  }
  template <int Kernel>
  [[gnu::target("avx2,fma")]] void pack_avx2(winograd_weights& w, int begin, int end) const {
    pack<avx2_registers, Kernel>(w, begin, end);
  }
  template <int Kernel>
  [[gnu::target("avx512f")]] void pack_avx512(winograd_weights& w, int begin, int end) const {
    pack<avx512_registers, Kernel>(w, begin, end);
  }
  template <int Kernel>
  void pack_any(winograd_weights& w, int begin, int end) const {
    if (w.blocks.set == instruction_set::avx512)
      pack_avx512<Kernel>(w, begin, end);
    else
      pack_avx2<Kernel>(w, begin, end);
  }

  [[nodiscard]] winograd_weights operator()(exec::threads threads, float const* bias) const {
    winograd_weights w;
    w.blocks = {.filters = problem.out.channels};
    auto const padded = static_cast<std::size_t>(w.blocks.padded());
    w.values.reserve(36 * padded * static_cast<std::size_t>(problem.in.channels));
    w.bias.reserve(padded);
    std::fill_n(w.bias.data(), padded, 0.0F);
    if (bias != nullptr) std::copy_n(bias, filters, w.bias.data());
    for_each_range(threads, w.blocks.count(), [&](std::ptrdiff_t first, std::ptrdiff_t last) {
      int const begin = static_cast<int>(first) * w.blocks.step();
      int const end = std::min(static_cast<int>(last) * w.blocks.step(), w.blocks.padded());
      if (filters < w.blocks.padded() || channels < problem.in.channels)
        std::fill(w.values.data() + std::ptrdiff_t{36} * problem.in.channels * begin,
                  w.values.data() + std::ptrdiff_t{36} * problem.in.channels * end, 0.0F);
      if (problem.geometry.kernel == 3)
        pack_any<3>(w, begin, end);
      else
        pack_any<4>(w, begin, end);
    });
    return w;
  }
};

/// The sums of one part of the weights' gradient: the points of some tiles of both maps, and what
/// they add up to, (point, filter, channel).
struct winograd_gradient_job {
  static constexpr std::size_t tiles = 64;

  layer_problem const& problem;
  instruction_set set;
  float* memory;
  std::ptrdiff_t in_row;   // values between neighbouring rows of the input
  std::ptrdiff_t out_row;  // and of the output
  bool* has_sums;          // whether some tiles were summed already

  static std::ptrdiff_t padded_filters(layer_problem const& problem) {
    return (problem.out.channels + 15) / 16 * 16;
  }
  // Points lie a little more than a power of two apart.
  static std::ptrdiff_t input_step(layer_problem const& problem) {
    return static_cast<std::ptrdiff_t>(tiles) * problem.in.channels + 16;
  }
  static std::ptrdiff_t slope_step(layer_problem const& problem) {
    return static_cast<std::ptrdiff_t>(tiles) * padded_filters(problem) + 16;
  }
  static std::ptrdiff_t sums(layer_problem const& problem) {
    return std::ptrdiff_t{36} * problem.out.channels * problem.in.channels;
  }
  /// Values of one part: a pixel of zeros, the points of both maps, the sums.
  static std::ptrdiff_t values(layer_problem const& problem) {
    std::ptrdiff_t const all =
        zero_values(problem) + 36 * (input_step(problem) + slope_step(problem)) + sums(problem);
    return (all + 15) / 16 * 16;
  }
  static std::ptrdiff_t zero_values(layer_problem const& problem) {
    return std::max<std::ptrdiff_t>(problem.in.channels, padded_filters(problem));
  }
  [[nodiscard]] float* input() const { return memory + zero_values(problem); }
  [[nodiscard]] float* slopes() const { return input() + 36 * input_step(problem); }
  [[nodiscard]] float* totals() const { return slopes() + 36 * slope_step(problem); }

  void begin() const {
    std::fill_n(memory, zero_values(problem), 0.0F);
    *has_sums = false;
  }

  template <class Registers, int Outputs>
  [[gnu::always_inline]] inline void gather(std::span<winograd_tile<float> const> given) const {
    std::ptrdiff_t const channels = problem.in.channels;
    std::ptrdiff_t const filters = problem.out.channels;
    std::ptrdiff_t const dilation = problem.geometry.dilation;
    winograd_pixels const in{6, dilation, in_row, channels, memory};
    winograd_pixels const out{Outputs, dilation, out_row, filters, memory};
    float const* pixels[36];
    for (std::size_t t = 0; t < given.size(); ++t) {
      auto const& tile = given[t];
      auto const place = static_cast<std::ptrdiff_t>(t);
      in.find(tile.x, tile.rows, tile.columns, pixels);
      for (std::ptrdiff_t k = 0; k < channels; k += Registers::width)
        winograd_input_tile<Registers>(pixels, k, input() + place * channels + k,
                                       input_step(problem));
      out.find(tile.y, tile.out_rows, tile.out_columns, pixels);
      for (std::ptrdiff_t f = 0; f < filters; f += Registers::width)
        winograd_slope_tile<Registers, Outputs>(pixels, f, filters - f,
                                                slopes() + place * padded_filters(problem) + f,
                                                slope_step(problem));
    }
  }
  template <int Outputs>
  [[gnu::target("avx2,fma")]] void gather_avx2(std::span<winograd_tile<float> const> given) const {
    gather<avx2_registers, Outputs>(given);
  }
  template <int Outputs>
  [[gnu::target("avx512f")]] void gather_avx512(std::span<winograd_tile<float> const> given) const {
    gather<avx512_registers, Outputs>(given);
  }

  template <int Outputs>
  void gather_any(std::span<winograd_tile<float> const> given) const {
    if (set == instruction_set::avx512)
      gather_avx512<Outputs>(given);
    else
      gather_avx2<Outputs>(given);
  }
  void run(std::span<winograd_tile<float> const> given) const {
    if (problem.geometry.kernel == 3)
      gather_any<4>(given);
    else
      gather_any<3>(given);
    std::ptrdiff_t const channels = problem.in.channels;
    std::ptrdiff_t const filters = problem.out.channels;
    for (int point = 0; point < 36; ++point)
      add_products(set, {.left = slopes() + point * slope_step(problem),
                         .left_step = padded_filters(problem),
                         .right = input() + point * input_step(problem),
                         .right_step = channels,
                         .terms = static_cast<int>(given.size()),
                         .sums = totals() + point * filters * channels,
                         .sums_step = channels,
                         .rows = static_cast<int>(filters),
                         .columns = static_cast<int>(channels),
                         .goes_on = *has_sums});
    *has_sums = true;
  }
};

/// A convolution in training.
class winograd_training {
 public:
  struct packed {
    winograd_weights forward;
    winograd_weights turned;  // for the input gradient; empty where none is wanted
  };

  winograd_training() = default;
  explicit winograd_training(layer_problem const& problem)
      : problem_{problem}, turned_{turned_problem(problem)} {}

  [[nodiscard]] packed pack(exec::threads threads, std::span<float const> parameters) const {
    int const filters = problem_.out.channels;
    int const channels = problem_.in.channels;
    std::ptrdiff_t const taps = std::ptrdiff_t{problem_.geometry.kernel} * problem_.geometry.kernel;
    packed result;
    float const* const bias = parameters.data() + filters * taps * channels;
    result.forward = winograd_packing{.problem = problem_,
                                      .given = parameters.data(),
                                      .filters_are_contiguous = false,
                                      .filters = filters,
                                      .channels = channels}(threads, bias);
    if (problem_.input_gradient)
      result.turned = winograd_packing{.problem = turned_,
                                       .given = parameters.data(),
                                       .filters_are_contiguous = true,
                                       .filters = channels,
                                       .channels = filters}(threads, nullptr);
    return result;
  }

  /// Of all passes.
  [[nodiscard]] std::size_t scratch_bytes(exec::threads threads) const {
    std::size_t const forward = winograd_scratch_bytes(problem_, threads);
    std::size_t const input =
        problem_.input_gradient ? border_bytes() + winograd_scratch_bytes(turned_, threads) : 0;
    return std::max({forward, input, gradient_bytes()});
  }

  void forward(exec::threads threads, packed const& w, std::byte* scratch, view<float const, 4> x,
               view<float, 4> y) const {
    winograd_convolve(threads, problem_, w.forward, reinterpret_cast<float*>(scratch), x, y);
  }

  /// @param dy slopes by what came before relu
  void backward(exec::threads threads, packed const& w, std::byte* scratch, view<float const, 4> x,
                view<float, 4> dy, view<float, 4> dx, std::span<float> dparameters) const {
    if (problem_.input_gradient) {
      auto* const bordered = reinterpret_cast<float*>(scratch);
      std::ptrdiff_t const filters = problem_.out.channels;
      spread_over_border(threads, problem_.batch, problem_.out, problem_.geometry.extent() - 1,
                         turned_.in.channels, bordered, [&](std::ptrdiff_t pixel, float* to) {
                           std::copy_n(dy.data() + pixel * filters, filters, to);
                         });
      winograd_convolve(
          threads, turned_, w.turned, reinterpret_cast<float*>(scratch + border_bytes()),
          {bordered, {turned_.batch, turned_.in.height, turned_.in.width, turned_.in.channels}},
          dx);
    }
    weights_gradient(threads, reinterpret_cast<float*>(scratch), x, dy, dparameters);
  }

 private:
  // Parts of a sum, whatever the thread count.
  static constexpr std::ptrdiff_t parts = 4;

  [[nodiscard]] std::size_t border_bytes() const {
    return (turned_.in.size() * static_cast<std::size_t>(turned_.batch) * sizeof(float) + 63) / 64 *
           64;
  }
  [[nodiscard]] std::size_t gradient_bytes() const {
    std::ptrdiff_t const values =
        parts * (winograd_gradient_job::values(problem_) + problem_.out.channels);
    return static_cast<std::size_t>(values) * sizeof(float);
  }

  void weights_gradient(exec::threads threads, float* scratch, view<float const, 4> x,
                        view<float, 4> dy, std::span<float> dparameters) const {
    instruction_set const set = widest_instruction_set();
    std::array<bool, parts> has_sums{};
    auto const job_of = [&](std::ptrdiff_t part) {
      return winograd_gradient_job{
          .problem = problem_,
          .set = set,
          .memory = scratch + part * winograd_gradient_job::values(problem_),
          .in_row = x.extent(2) * x.extent(3),
          .out_row = dy.extent(2) * dy.extent(3),
          .has_sums = &has_sums[static_cast<std::size_t>(part)]};
    };
    for_each_winograd_tile<float>(threads, parts, problem_, x, dy, winograd_gradient_job::tiles,
                                  [&](std::ptrdiff_t part) {
                                    auto const job = job_of(part);
                                    job.begin();
                                    return job;
                                  });
    std::ptrdiff_t const taps = std::ptrdiff_t{problem_.geometry.kernel} * problem_.geometry.kernel;
    for_each_range(threads, problem_.out.channels, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      std::array<float const*, parts> sums{};
      std::size_t count = 0;
      for (std::ptrdiff_t part = 0; part < parts; ++part)
        if (has_sums[static_cast<std::size_t>(part)]) sums[count++] = job_of(part).totals();
      finish_any(set, {sums.data(), count}, begin, end, dparameters.data());
    });
    float* const biases = scratch + parts * winograd_gradient_job::values(problem_);
    bias_gradient(threads, dy, biases,
                  dparameters.data() + problem_.out.channels * taps * problem_.in.channels);
  }

  void bias_gradient(exec::threads threads, view<float const, 4> dy, float* scratch,
                     float* dbias) const {
    std::ptrdiff_t const filters = problem_.out.channels;
    std::ptrdiff_t const pixels = dy.size() / filters;
    for_each_range(threads, parts, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      for (std::ptrdiff_t part = begin; part < end; ++part) {
        float* const sum = scratch + part * filters;
        std::fill_n(sum, filters, 0.0F);
        for (std::ptrdiff_t p = pixels * part / parts; p < pixels * (part + 1) / parts; ++p)
          for (std::ptrdiff_t f = 0; f < filters; ++f) sum[f] += dy.data()[p * filters + f];
      }
    });
    for (std::ptrdiff_t f = 0; f < filters; ++f) {
      dbias[f] = scratch[f];
      for (std::ptrdiff_t part = 1; part < parts; ++part) dbias[f] += scratch[part * filters + f];
    }
  }

  // From sums at the points to gradients of windows, filters [begin, end).
  template <class Registers, int Kernel>
  [[gnu::always_inline]] inline void finish(std::span<float const* const> sums,
                                            std::ptrdiff_t begin, std::ptrdiff_t end,
                                            float* dparameters) const {
    using lanes = typename Registers::lanes;
    using in_memory = typename Registers::in_memory;
    std::ptrdiff_t const filters = problem_.out.channels;
    std::ptrdiff_t const channels = problem_.in.channels;
    for (std::ptrdiff_t f = begin; f < end; ++f)
      for (std::ptrdiff_t k = 0; k < channels; k += Registers::width) {
        lanes points[36];
        for (std::ptrdiff_t point = 0; point < 36; ++point) {
          std::ptrdiff_t const at = (point * filters + f) * channels + k;
          points[point] = *reinterpret_cast<in_memory const*>(sums[0] + at);
          for (std::size_t part = 1; part < sums.size(); ++part)
            points[point] += *reinterpret_cast<in_memory const*>(sums[part] + at);
        }
        winograd_window_slopes<Registers, Kernel>(
            points, dparameters + f * Kernel * Kernel * channels + k, channels);
      }
  }
  template <int Kernel>
  [[gnu::target("avx2,fma")]] void finish_avx2(std::span<float const* const> sums,
                                               std::ptrdiff_t begin, std::ptrdiff_t end,
                                               float* dparameters) const {
    finish<avx2_registers, Kernel>(sums, begin, end, dparameters);
  }
  template <int Kernel>
  [[gnu::target("avx512f")]] void finish_avx512(std::span<float const* const> sums,
                                                std::ptrdiff_t begin, std::ptrdiff_t end,
                                                float* dparameters) const {
    finish<avx512_registers, Kernel>(sums, begin, end, dparameters);
  }
  void finish_any(instruction_set set, std::span<float const* const> sums, std::ptrdiff_t begin,
                  std::ptrdiff_t end, float* dparameters) const {
    bool const wide = set == instruction_set::avx512;
    if (problem_.geometry.kernel == 3)
      wide ? finish_avx512<3>(sums, begin, end, dparameters)
           : finish_avx2<3>(sums, begin, end, dparameters);
    else
      wide ? finish_avx512<4>(sums, begin, end, dparameters)
           : finish_avx2<4>(sums, begin, end, dparameters);
  }

  layer_problem problem_;
  layer_problem turned_;
};

#else

class winograd_training {
 public:
  struct packed {};
  winograd_training() = default;
  explicit winograd_training(layer_problem const&) {}
  [[nodiscard]] packed pack(exec::threads, std::span<float const>) const { return {}; }
  [[nodiscard]] std::size_t scratch_bytes(exec::threads) const { return 0; }
  void forward(exec::threads, packed const&, std::byte*, view<float const, 4>,
               view<float, 4>) const {}
  void backward(exec::threads, packed const&, std::byte*, view<float const, 4>, view<float, 4>,
                view<float, 4>, std::span<float>) const {}
};

#endif

}  // namespace septum::inline SEPTUM_ABI::detail
