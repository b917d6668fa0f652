#pragma once
#include <septum/core/view.hpp>
#include <septum/exec/block_kernel.hpp>
#include <septum/nn/functors.hpp>

#include <cstddef>
#include <type_traits>

/// Sums over the pixels of a map, channel by channel, as two block kernels: blocks of threads add
/// parts of the pixels, then the parts. How pixels are split depends on their number alone, and
/// everything is added in a fixed order in double, so the bytes do not depend on the device.
namespace septum::inline SEPTUM_ABI {

/// What is summed. `at(channel)` knows what its channel needs: `load(pixel)` brings the values of a
/// pixel, `add(values, sums)` adds what they contribute to each of `count` sums.
template <class Terms>
concept ChannelTerms = std::is_trivially_copyable_v<Terms> &&
    requires(Terms const terms, double (&sums)[Terms::count]) {
  terms.at(0).add(terms.at(0).load(std::ptrdiff_t{0}), sums);
};

/// Parts that so many pixels are added in: none shorter than 64, and enough for every
/// multiprocessor to have several blocks.
inline constexpr int most_sum_parts = 512;
[[nodiscard]] constexpr int sum_parts_of(std::ptrdiff_t pixels) {
  constexpr std::ptrdiff_t least_pixels = 64;
  std::ptrdiff_t const parts = pixels / least_pixels;
  return static_cast<int>(parts < 1 ? 1 : parts < most_sum_parts ? parts : most_sum_parts);
}

/// parts (part, which sum, channel): block (part, group of channels) adds its pixels.
template <ChannelTerms Terms, class Space = device_space>
struct sum_channel_parts {
  static constexpr int threads = 256;
  static constexpr int residents = 4;
  static constexpr int across = 32;              ///< threads over channels
  static constexpr int down = threads / across;  ///< threads over pixels

  Terms terms;
  view<double, 3, Space> parts;
  std::ptrdiff_t pixels;

  struct shared_values {
    double sums[down][Terms::count][across];
  };
  struct own_values {};

  [[nodiscard]] static constexpr extent2 blocks(int parts, int channels) {
    return {parts, (channels + across - 1) / across};
  }
  [[nodiscard]] SEPTUM_HD int steps() const { return 2; }

  SEPTUM_HD void operator()(block_call call, shared_values& shared, own_values&) const {
    int const lane = call.thread % across;
    int const row = call.thread / across;
    int const channel = call.column * across + lane;
    if (channel >= static_cast<int>(parts.extent(2))) return;
    if (call.step == 0) {
      double sums[Terms::count] = {};
      add_pixels(terms.at(channel), call.row, row, sums);
      for (int which = 0; which < Terms::count; ++which)
        shared.sums[row][which][lane] = sums[which];
    } else if (row < Terms::count) {
      double sum = 0.0;
      for (int from = 0; from < down; ++from) sum += shared.sums[from][row][lane];
      parts(call.row, row, channel) = sum;
    }
  }

 private:
  // Several pixels are loaded before the first of them is added: a thread waits long for each.
  template <class Channel>
  SEPTUM_HD void add_pixels(Channel const& channel, int part, int row,
                            double (&sums)[Terms::count]) const {
    using loaded_values = decltype(channel.load(std::ptrdiff_t{0}));
    constexpr int ahead = sizeof(loaded_values) > 8 ? 2 : 8;
    std::ptrdiff_t pixel = pixels * part / parts.extent(0) + row;
    std::ptrdiff_t const last = pixels * (part + 1) / parts.extent(0);
    for (; pixel + (ahead - 1) * down < last; pixel += ahead * down) {
      loaded_values loaded[ahead];
      for (int k = 0; k < ahead; ++k) loaded[k] = channel.load(pixel + k * down);
      for (int k = 0; k < ahead; ++k) channel.add(loaded[k], sums);
    }
    for (; pixel < last; pixel += down) channel.add(channel.load(pixel), sums);
  }
};

/// Adds the parts and calls finish(channel, sums) once for every channel. Blocks: (1, groups of
/// channels).
template <class Finish, class Space = device_space>
struct finish_channel_sums {
  static constexpr int threads = 256;
  static constexpr int residents = 4;
  static constexpr int across = 8;               ///< threads over channels
  static constexpr int down = threads / across;  ///< threads over parts
  static constexpr int count = Finish::count;

  view<double const, 3, Space> parts;
  Finish finish;

  struct shared_values {
    double sums[down][count][across];
  };
  struct own_values {};

  [[nodiscard]] static constexpr extent2 blocks(int channels) {
    return {1, (channels + across - 1) / across};
  }
  [[nodiscard]] SEPTUM_HD int steps() const { return 3; }

  SEPTUM_HD void operator()(block_call call, shared_values& shared, own_values&) const {
    int const lane = call.thread % across;
    int const row = call.thread / across;
    int const channel = call.column * across + lane;
    if (channel >= static_cast<int>(parts.extent(2))) return;
    if (call.step == 0) {
      double sums[count] = {};
      for (std::ptrdiff_t part = row; part < parts.extent(0); part += down)
        for (int which = 0; which < count; ++which) sums[which] += parts(part, which, channel);
      for (int which = 0; which < count; ++which) shared.sums[row][which][lane] = sums[which];
    } else if (call.step == 1 && row < count) {
      double sum = 0.0;
      for (int from = 0; from < down; ++from) sum += shared.sums[from][row][lane];
      // Its own cell alone: the others of the column are this thread's as well.
      shared.sums[0][row][lane] = sum;
    } else if (call.step == 2 && row == 0) {
      double sums[count];
      for (int which = 0; which < count; ++which) sums[which] = shared.sums[0][which][lane];
      finish(channel, sums);
    }
  }
};

/// Terms: the values of a map themselves.
template <class T, class Space = device_space>
struct value_terms {
  static constexpr int count = 1;
  view<T const, 2, Space> values;  // pixel, channel

  struct of_channel {
    view<T const, 2, Space> values;
    int channel;
    [[nodiscard]] SEPTUM_HD arithmetic_t<T> load(std::ptrdiff_t pixel) const {
      return static_cast<arithmetic_t<T>>(values(pixel, channel));
    }
    SEPTUM_HD void add(arithmetic_t<T> value, double (&sums)[1]) const {
      sums[0] += static_cast<double>(value);
    }
  };
  [[nodiscard]] SEPTUM_HD of_channel at(int channel) const { return {values, channel}; }
};

/// Finish: sums (channel) = the sum.
template <class T, class Space = device_space>
struct store_channel_sums {
  static constexpr int count = 1;
  view<T, 1, Space> sums;
  SEPTUM_HD void operator()(int channel, double const (&found)[1]) const {
    sums(channel) = static_cast<T>(static_cast<arithmetic_t<T>>(found[0]));
  }
};

}  // namespace septum::inline SEPTUM_ABI
