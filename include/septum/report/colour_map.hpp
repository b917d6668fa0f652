#pragma once
#include <septum/core/config.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace septum::inline SEPTUM_ABI::report {

/// Numbers to colours, dark to light along one hue path that people with any kind of colour vision
/// see in order (the stops of viridis). Numbers that are not finite are gray.
struct colour_map {
  double lowest = 0;
  double highest = 1;

  static constexpr std::string_view unknown = "#9a9a9a";

  /// Share of the way from lowest to highest, in [0, 1].
  [[nodiscard]] double part(double value) const {
    return highest > lowest ? std::clamp((value - lowest) / (highest - lowest), 0.0, 1.0) : 0.5;
  }
  /// #rrggbb
  [[nodiscard]] std::string operator()(double value) const {
    if (!std::isfinite(value)) return std::string{unknown};
    double const place = part(value) * static_cast<double>(stops.size() - 1);
    auto const first = std::min(static_cast<std::size_t>(place), stops.size() - 2);
    double const share = place - static_cast<double>(first);
    std::string text = "#";
    for (int shift = 16; shift >= 0; shift -= 8) {
      auto const channel = [&](std::size_t stop) {
        return static_cast<double>((stops[stop] >> static_cast<unsigned>(shift)) & 0xFFU);
      };
      auto const mixed = static_cast<unsigned>(
          std::lround((1 - share) * channel(first) + share * channel(first + 1)));
      text += "0123456789abcdef"[mixed >> 4U];
      text += "0123456789abcdef"[mixed & 0xFU];
    }
    return text;
  }

 private:
  static constexpr std::array<std::uint32_t, 10> stops{0x440154, 0x482878, 0x3e4989, 0x31688e,
                                                       0x26828e, 0x1f9e89, 0x35b779, 0x6ece58,
                                                       0xb5de2b, 0xfde725};
};

}  // namespace septum::inline SEPTUM_ABI::report
