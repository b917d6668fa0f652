#include "class_table.hpp"

#include <cstdint>
#include <septum/core/error.hpp>

namespace program {

class_table::class_table(septum::model const& trained, refinement const& refining)
    : score_min_{refining.class_score_min} {
  if (!refining.two_cell_types) return;
  if (trained.description.classes.size() < 4)
    throw septum::unsupported_error("septum.program.34",
                                    "a co-culture has two interior classes; this model has " +
                                        std::to_string(trained.description.classes.size()) +
                                        " classes in all");
  names_ = {trained.description.classes[1], trained.description.classes[2]};
  for (auto const& name : names_)
    summaries_.push_back({name, 0, std::vector<std::int64_t>(bins, 0)});
  summaries_.push_back({"", 0, {}});
}

void class_table::add(std::vector<septum::cell_class> const& found) {
  decided_.clear();
  scores_.clear();
  for (auto const& cell : found) {
    bool const scored = cell.shares[0] + cell.shares[1] > 0;
    auto const place = cell.decision ? static_cast<std::size_t>(*cell.decision - 1) : 2;
    summaries_[place].cells += scored ? 1 : 0;
    decided_.push_back(cell.decision ? names_[place] : std::string{});
    scores_.push_back(cell.shares);
  }
  for (std::size_t k = 0; k < names_.size(); ++k) {
    auto const histogram = septum::share_histogram(found, k, bins);
    for (std::size_t bin = 0; bin < bins; ++bin) summaries_[k].histogram[bin] += histogram[bin];
  }
}

}  // namespace program
