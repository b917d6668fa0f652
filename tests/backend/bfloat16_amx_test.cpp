// Convolution by matrix registers (AMX). Few processors have them, so that registers which live in
// memory, with the arithmetic that the instructions are documented to have, stand in for them.
#include <septum/backend/detail/bfloat16_amx.hpp>
#include <septum/backend/detail/bfloat16_gradient.hpp>
#include <septum/backend/detail/bfloat16_winograd.hpp>
#include <septum/exec/buffer.hpp>
#include <support/layer_run.hpp>
#include <support/tolerance.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include "support/bfloat16_instructions.hpp"

#if defined(__x86_64__)

namespace {

namespace detail = septum::detail;
using detail::bfloat16_row;
using septum::bfloat16;

/// What amx_registers does, by loops. Rows and columns that were not configured hold NaN.
class amx_in_memory {
 public:
  void configure(int pixels, int pairs) {
    BOOST_REQUIRE((pixels >= 1 && pixels <= 16 && pairs >= 1 && pairs <= 16));
    pixels_ = pixels;
    pairs_ = pairs;
  }
  template <int Register>
  void load(void const* from, std::ptrdiff_t row_bytes) {
    std::memset(registers_[Register].data(), 0xFF, sizeof registers_[Register]);
    for (int row = 0; row < rows(Register); ++row)
      std::memcpy(registers_[Register].data() + row * 64,
                  static_cast<std::byte const*>(from) + row * row_bytes, bytes(Register));
  }
  template <int Register>
  void store(void* to, std::ptrdiff_t row_bytes) const {
    for (int row = 0; row < rows(Register); ++row)
      std::memcpy(static_cast<std::byte*>(to) + row * row_bytes,
                  registers_[Register].data() + row * 64, bytes(Register));
  }
  template <int Sums, int Pixels, int Weights>
  void multiply() {
    for (int m = 0; m < pixels_; ++m)
      for (int n = 0; n < 16; ++n) {
        float even = 0.0F;
        float odd = 0.0F;
        for (int k = 0; k < pairs_; ++k) {
          even += half(Pixels, m, 2 * k) * half(Weights, k, 2 * n);
          odd += half(Pixels, m, 2 * k + 1) * half(Weights, k, 2 * n + 1);
        }
        std::byte* const at = registers_[Sums].data() + m * 64 + n * 4;
        float sum = 0.0F;
        std::memcpy(&sum, at, 4);
        sum += even + odd;
        std::memcpy(at, &sum, 4);
      }
  }

 private:
  [[nodiscard]] int rows(int which) const { return which < 6 ? pixels_ : pairs_; }
  [[nodiscard]] std::size_t bytes(int which) const {
    return which == 4 || which == 5 ? static_cast<std::size_t>(pairs_) * 4 : 64;
  }
  [[nodiscard]] float half(int which, int row, int column) const {
    bfloat16 value{};
    std::memcpy(&value, registers_[static_cast<std::size_t>(which)].data() + row * 64 + column * 2,
                2);
    return static_cast<float>(value);
  }

  std::array<std::array<std::byte, 1024>, 8> registers_{};
  int pixels_ = 0;
  int pairs_ = 0;
};

std::vector<bfloat16> random_halves(std::size_t count, std::uint64_t stream) {
  std::vector<bfloat16> values;
  for (double const value : normal_values(count, stream))
    values.emplace_back(static_cast<float>(value));
  return values;
}

/// A row of a convolution with everything it points to.
struct row_case {
  int filters = 32;  // of the block, the missing ones counted
  int window = 3;
  int dilation = 1;
  int channels = 32;
  int pixels = 40;
  int exist = 32;  // filters
  int period = 0;  // pixels of a row of the input; 0: the run is within one
  bool relu = false;

  std::vector<bfloat16> x{};
  std::vector<bfloat16> weights{};
  std::vector<bfloat16> pieces{};  // the weights as matrix registers take them
  std::vector<float> start{};

  void fill() {
    auto const size = [](int extent) { return static_cast<std::size_t>(extent); };
    int const columns = pixels + (window - 1) * dilation;
    x = random_halves(size(((window - 1) * dilation + 1) * columns * channels), 1);
    weights = random_halves(size(window * window * channels * filters), 2);
    for (double const value : normal_values(size(filters), 3))
      start.push_back(static_cast<float>(value));
    detail::amx_pieces const dealt{channels / 2};
    for (int step = 0; step < window * window; ++step)
      for (int k = 0; k < dealt.padded(); ++k) {
        int const pair = dealt.pair(k);
        auto const from = weights.begin() + (step * channels / 2 + pair) * filters * 2;
        if (pair < 0)
          pieces.insert(pieces.end(), size(filters) * 2, bfloat16{});
        else
          pieces.insert(pieces.end(), from, from + filters * 2);
      }
  }
  /// The run from pixel `first` on, into `y` with `exist` values a pixel.
  [[nodiscard]] bfloat16_row row(std::vector<bfloat16> const& values, void* y, int first,
                                 int count) const {
    std::ptrdiff_t const columns = pixels + (window - 1) * dilation;
    bfloat16_row result{.x = x.data() + first * channels,
                        .weights = values.data(),
                        .start = start.data(),
                        .y = y,
                        .pixels = count,
                        .filters = exist,
                        .window_rows = window,
                        .window_columns = window,
                        .pairs = channels / 2,
                        .row_step = dilation * columns * channels,
                        .column_step = std::ptrdiff_t{dilation} * channels,
                        .pixel_step = channels,
                        .out_step = exist,
                        .relu = relu};
    if (period > 0) {
      result.period = period;
      result.valid = period - (window - 1) * dilation;
    }
    return result;
  }
};

template <class Out>
std::vector<Out> by_registers(row_case const& given, int first, int count) {
  amx_in_memory amx;
  std::vector<Out> y(static_cast<std::size_t>(count * given.exist));
  detail::multiply_by_amx<Out>(amx, given.row(given.pieces, y.data(), first, count), given.filters);
  return y;
}
template <class Out>
std::vector<Out> by_rows(row_case const& given) {
  std::vector<Out> y(static_cast<std::size_t>(given.pixels * given.exist));
  detail::multiply_row<Out>(given.row(given.weights, y.data(), 0, given.pixels), given.filters);
  return y;
}

template <class Out>
std::vector<double> as_doubles(std::vector<Out> const& values) {
  std::vector<double> result;
  for (Out const value : values) result.push_back(static_cast<double>(static_cast<float>(value)));
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bfloat16_amx)

BOOST_AUTO_TEST_CASE(pieces_of_a_pixel) {
  for (int const pairs : {4, 8, 16, 17, 24, 32, 100}) {
    detail::amx_pieces const pieces{pairs};
    BOOST_TEST(pieces.width == std::min(pairs, 16));
    // Every pair has one weight and no piece goes beyond the pixel.
    std::vector<int> found;
    for (int k = 0; k < pieces.padded(); ++k)
      if (int const pair = pieces.pair(k); pair >= 0) found.push_back(pair);
    std::vector<int> all(static_cast<std::size_t>(pairs));
    std::iota(all.begin(), all.end(), 0);
    BOOST_TEST(found == all, boost::test_tools::per_element());
    for (int k = 0; k < pieces.count; ++k) {
      BOOST_TEST(pieces.first(k) >= 0);
      BOOST_TEST(pieces.first(k) + pieces.width <= pairs);
    }
  }
  BOOST_TEST(detail::suits_amx(4));
  BOOST_TEST(!detail::suits_amx(3));
}

BOOST_AUTO_TEST_CASE(the_sums_of_the_vector_instructions) {
  if (lacks_bfloat16_instructions()) return;
  for (int const window : {1, 3})
    for (int const dilation : {1, 4})
      for (int const channels : {8, 32, 40, 64, 200})
        for (int const filters : {16, 32})
          for (int const missing : {0, 1, 13})
            for (int const pixels : {1, 7, 16, 17, 32, 33, 48, 112}) {
              row_case given{.filters = filters,
                             .window = window,
                             .dilation = dilation,
                             .channels = channels,
                             .pixels = pixels,
                             .exist = filters - missing,
                             .relu = pixels % 2 == 0};
              given.fill();
              BOOST_TEST_CONTEXT("window " << window << " dilation " << dilation << " channels "
                                           << channels << " filters " << filters << " missing "
                                           << missing << " pixels " << pixels) {
                auto const found = as_doubles(by_registers<float>(given, 0, pixels));
                BOOST_TEST(relative_difference(found, as_doubles(by_rows<float>(given))) <= 2e-6);
                auto const halves = as_doubles(by_registers<bfloat16>(given, 0, pixels));
                BOOST_TEST(relative_difference(halves, found) <= 1.0 / 256.0);
              }
            }
}

// A run over the ends of rows leaves out what lies beyond them.
BOOST_AUTO_TEST_CASE(runs_over_the_ends_of_rows) {
  if (lacks_bfloat16_instructions()) return;
  for (int const period : {5, 12, 20}) {
    row_case given{.window = 3, .channels = 32, .pixels = 3 * period - 2, .period = period};
    given.fill();
    auto const found = as_doubles(by_registers<float>(given, 0, given.pixels));
    BOOST_TEST(relative_difference(found, as_doubles(by_rows<float>(given))) <= 2e-6);
  }
}

// A pixel's sums have the same bytes wherever a run begins and ends.
BOOST_AUTO_TEST_CASE(bytes_do_not_depend_on_the_run) {
  if (lacks_bfloat16_instructions()) return;
  row_case given{.dilation = 2, .channels = 64, .pixels = 70, .exist = 31};
  given.fill();
  auto const whole = by_registers<float>(given, 0, given.pixels);
  for (int first = 0; first < given.pixels; first += 9)
    for (int count = 1; first + count <= given.pixels; count += 7) {
      auto const part = by_registers<float>(given, first, count);
      BOOST_TEST((std::memcmp(part.data(), whole.data() + first * given.exist,
                              part.size() * sizeof(float)) == 0));
    }
}

// A net that diverged says so.
BOOST_AUTO_TEST_CASE(what_is_not_a_number_stays_so) {
  if (lacks_bfloat16_instructions()) return;
  row_case given{.channels = 40, .pixels = 20};
  given.fill();
  given.x[3] = bfloat16{std::numeric_limits<float>::quiet_NaN()};
  auto const y = by_registers<float>(given, 0, given.pixels);
  BOOST_TEST(std::isnan(y.front()));
  BOOST_TEST(!std::isnan(y.back()));
}

// Gradients of weights, summed where the sums of other rows lie already.
BOOST_AUTO_TEST_CASE(gradients_of_weights) {
  if (lacks_bfloat16_instructions()) return;
  for (auto const& [kernel, dilation] : {std::pair{1, 1}, {3, 1}, {3, 2}, {4, 1}})
    for (auto const& [channels, filters] : {std::pair{32, 64}, {40, 3}, {2, 16}, {200, 20}})
      for (auto const& [batch, rows, columns] : {std::tuple{1, 70, 64}, {5, 3, 9}, {2, 2, 91}}) {
        auto const problem =
            conv_problem(batch, rows, columns, channels, filters, kernel, dilation, false);
        auto const x = random_halves(problem.in.size() * static_cast<std::size_t>(batch), 4);
        auto const dy = random_halves(problem.out.size() * static_cast<std::size_t>(batch), 5);
        std::ptrdiff_t const row = std::ptrdiff_t{problem.out.width} * filters;
        detail::bfloat16_rows const slopes{dy.data(), problem.out.height * row, row, filters};
        septum::view<bfloat16 const, 4> const input{
            x.data(), {batch, problem.in.height, problem.in.width, channels}};
        auto const gradient = [&](bool by_amx, int threads) {
          detail::bfloat16_gradient_layout const layout{problem, by_amx};
          BOOST_TEST(layout.by_amx == by_amx);
          septum::buffer<std::byte> scratch;
          scratch.reserve(static_cast<std::size_t>(layout.parts()) * layout.bytes());
          std::vector<float> result(conv_parameters(problem));
          detail::bfloat16_weights_gradient<amx_in_memory>(septum::exec::threads{threads}, problem,
                                                           layout, input, slopes, result,
                                                           scratch.data());
          return result;
        };
        BOOST_TEST_CONTEXT("kernel " << kernel << " dilation " << dilation << " channels "
                                     << channels << " filters " << filters << " columns "
                                     << columns) {
          auto const found = gradient(true, 1);
          BOOST_TEST(relative_difference(as_doubles(found), as_doubles(gradient(false, 1))) <=
                     4e-6);
          BOOST_TEST((gradient(true, 2) == found), "bytes with two threads");
        }
      }
}

// Winograd's products by matrix registers beside those by vector instructions: sums of the same
// numbers in another order.
BOOST_AUTO_TEST_CASE(products_of_winograd) {
  if (lacks_bfloat16_instructions()) return;
  for (auto const& [channels, filters] : {std::pair{32, 32}, {40, 48}, {64, 200}})
    for (auto const& [kernel, dilation] : {std::pair{3, 1}, {4, 2}})
      for (int const threads : {1, 2}) {
        auto const problem =
            conv_problem(1, 23, 41, channels, filters, kernel, dilation, channels == 40);
        auto const halves = random_halves(problem.in.size(), 6);
        std::vector<float> parameters;
        for (double const value : normal_values(conv_parameters(problem), 7))
          parameters.push_back(static_cast<float>(value));
        septum::view<bfloat16 const, 4> const x{halves.data(),
                                                {1, problem.in.height, problem.in.width, channels}};
        auto const run = [&](bool by_amx) {
          detail::bfloat16_winograd_weights const weights{problem, parameters, by_amx};
          septum::buffer<std::byte> scratch;
          scratch.reserve(detail::bfloat16_winograd_scratch_bytes(problem, {threads}, by_amx));
          std::vector<bfloat16> y(problem.out.size());
          detail::bfloat16_winograd_convolve<amx_in_memory>(
              {threads}, problem, weights, scratch.data(), x,
              {y.data(), {1, problem.out.height, problem.out.width, filters}});
          return as_doubles(y);
        };
        BOOST_TEST_CONTEXT("channels " << channels << " filters " << filters << " kernel "
                                       << kernel) {
          auto const found = run(true);
          BOOST_TEST(relative_difference(found, run(false)) <= 1.0 / 256.0);
          BOOST_TEST(found != std::vector<double>(found.size()));
        }
      }
}

// The processor's own registers, where there are some.
BOOST_AUTO_TEST_CASE(registers_of_the_processor) {
  if (!detail::has_amx_instructions()) {
    BOOST_TEST_MESSAGE("skipped: this processor has no AMX");
    return;
  }
  detail::amx_registers amx;
  for (int const channels : {32, 200})
    for (int const pixels : {5, 40, 112}) {
      row_case given{.channels = channels, .pixels = pixels, .exist = 29, .relu = true};
      given.fill();
      std::vector<float> y(static_cast<std::size_t>(pixels * given.exist));
      detail::multiply_by_amx<float>(amx, given.row(given.pieces, y.data(), 0, pixels),
                                     given.filters);
      BOOST_TEST(relative_difference(as_doubles(y),
                                     as_doubles(by_registers<float>(given, 0, pixels))) <= 1e-6);
    }
}

BOOST_AUTO_TEST_SUITE_END()

#endif
