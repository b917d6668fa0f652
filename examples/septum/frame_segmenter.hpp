#pragma once
#include <cstddef>
#include <map>
#include <optional>
#include <septum/exec/for_each.hpp>
#include <septum/image/regions.hpp>
#include <septum/image/types.hpp>
#include <septum/io/image.hpp>
#include <septum/measure/cell_class.hpp>
#include <septum/measure/ensemble_spread.hpp>
#include <septum/net/model.hpp>
#include <string>
#include <vector>

#include "inputs.hpp"
#include "memory_plan.hpp"
#include "options.hpp"
#include "prediction.hpp"
#include "refinement.hpp"
#include "segmentation.hpp"

namespace program {

/// A frame on its way through a run, and what is found in it.
struct frame_work {
  input_frame const* frame = nullptr;
  septum::io::scaled_image input{};
  net_frame own{};
  net_frame nuclear{};
  septum::labels cells{};
  septum::labels nuclei{};
  std::vector<septum::ensemble_spread> spread{};  ///< of every cell; empty when not asked for
  std::vector<septum::cell_class> classes{};      ///< of every cell; empty with one class
  std::vector<septum::region_properties> cell_regions{};
  std::vector<septum::region_properties> nuclear_regions{};
  std::vector<std::string> notes{};         ///< for people, said in the order of the frames
  std::map<std::string, double> seconds{};  ///< by step
};

/// How frames overlap.
struct overlap {
  int in_flight = 1;              ///< under way at most
  int workers = 1;                ///< of a stage of the host
  septum::exec::threads threads;  ///< of each
};

/// Everything about one run that frames share. Refers to the models, the request and the options.
class frame_segmenter {
 public:
  /// @param frames  of the run, one at least
  /// @throws septum::shape_error when a model's channels are not those of the frames
  /// @throws septum::unsupported_error when contours grow from nuclei and there is no net for them
  /// @throws septum::device_error when contours evolve on a device that is not there
  frame_segmenter(septum::model const& trained, segmentation_request const& request,
                  common_options const& common, std::size_t frames);
  frame_segmenter(frame_segmenter const&) = delete;
  frame_segmenter& operator=(frame_segmenter const&) = delete;

  /// The net of the cells.
  [[nodiscard]] frame_predictor& net() { return cells_; }
  /// How up to so many frames overlap.
  [[nodiscard]] overlap overlapping(std::size_t frames) const;
  /// What the steps are run with from now on.
  void set_overlap(overlap const& chosen) { overlap_ = chosen; }
  [[nodiscard]] septum::exec::threads threads() const { return overlap_.threads; }

  /// @throws septum::shape_error on a frame of other channels or smaller than a receptive field
  void require_frame(std::string const& source, frame_header const& frame) const;

  /// What frames of that kind need when they are segmented whole.
  [[nodiscard]] memory_plan plan(frame_header const& frame, overlap const& together) const;

  /// The steps of a frame; see run_pipeline. Each adds its seconds to those of the frame.
  /// @throws septum::error naming the frame or a file of it
  /// @throws septum::interrupted_error once a signal has arrived
  void read(frame_work& work) const;
  void prepare(frame_work& work) const;
  [[nodiscard]] bool accepts(frame_work const& work) const {
    return (!nuclei_ || nuclei_->accepts(work.nuclear)) && cells_.accepts(work.own);
  }
  void submit(frame_work& work);
  void collect(frame_work& work);
  void abandon() {
    if (nuclei_) nuclei_->abandon();
    cells_.abandon();
  }
  void refine(frame_work& work);

  /// Whether cells come with what the nets of the ensemble differ in.
  [[nodiscard]] bool measures_spread() const { return cells_.each_net(); }

 private:
  // Every net segments the frame by itself, from the same nuclei.
  [[nodiscard]] std::vector<septum::ensemble_spread> spread_of(frame_work const& work) const;

  segmentation_request const* request_;
  common_options const* common_;
  frame_predictor cells_;
  std::optional<frame_predictor> nuclei_;
  overlap overlap_;
  contour_place place_;
};

}  // namespace program
