#pragma once
#include <septum/core/config.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

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

/// Names what links between cells mean, given all of them: the first one listed from a cell and
/// into a cell continues it (`link`, or `gap` over more than one frame), the next from the same
/// cell is a `split`, the next into the same cell a `merge`. Splits and merges that were named
/// before keep their name where another link continues the cell.
[[nodiscard]] inline std::vector<cell_link> with_kinds(std::vector<cell_link> links) {
  using cell = std::pair<std::int64_t, std::int64_t>;
  std::map<cell, std::size_t> next, previous;
  // Those that already are plain links go first, so that they keep what they have.
  std::vector<std::size_t> order(links.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    auto const branch = [&](std::size_t i) { return links[i].kind >= link_kind::split; };
    return branch(a) < branch(b);
  });
  for (std::size_t const i : order) {
    cell_link& link = links[i];
    bool const into_new = previous.emplace(cell{link.target_frame, link.target}, i).second;
    if (!into_new) {
      link.kind = link_kind::merge;
      continue;
    }
    bool const from_new = next.emplace(cell{link.source_frame, link.source}, i).second;
    link.kind = !from_new                                    ? link_kind::split
                : link.target_frame - link.source_frame == 1 ? link_kind::link
                                                             : link_kind::gap;
  }
  return links;
}

}  // namespace septum::inline SEPTUM_ABI
