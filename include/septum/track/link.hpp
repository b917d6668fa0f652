#pragma once
#include <septum/core/config.hpp>

#include <cstdint>
#include <string_view>

namespace septum::inline SEPTUM_ABI {

/// What a link between two cells says.
enum class link_kind : std::uint8_t {
  link,   ///< the same cell one frame later
  gap,    ///< the same cell after frames in which it was not seen
  split,  ///< a daughter that does not continue its mother's first link
  merge   ///< a cell that went into another one
};

[[nodiscard]] constexpr std::string_view to_string(link_kind kind) {
  constexpr std::string_view names[] = {"link", "gap", "split", "merge"};
  return names[static_cast<std::size_t>(kind)];
}

/// One link, forward in time. Cells are named by frame and label; tables of points, whose numbers
/// are unique in the whole table, name them in the same way.
struct cell_link {
  std::int64_t source_frame = 0;
  std::int64_t source = 0;
  std::int64_t target_frame = 0;
  std::int64_t target = 0;
  link_kind kind = link_kind::link;
  double cost = 0;

  friend bool operator==(cell_link const&, cell_link const&) = default;
};

}  // namespace septum::inline SEPTUM_ABI
