#pragma once
#include <septum/core/config.hpp>

#include <cstdint>
#include <functional>
#include <span>

namespace septum::inline SEPTUM_ABI {

/// A mask that is written and read row by row, a bit per pixel: bit k of word w is column 64 w + k,
/// bits beyond the row are 0. Rows are given from the top and may be read again from the top.
struct mask_rows {
  std::int32_t rows = 0;
  std::int32_t columns = 0;
  /// Fills the words of a row; called with ascending rows.
  std::function<void(std::int32_t row, std::span<std::uint64_t> words)> read{};
};

}  // namespace septum::inline SEPTUM_ABI
