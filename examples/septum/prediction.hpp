#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <septum/backend/problem.hpp>
#include <septum/image/types.hpp>
#include <septum/net/model.hpp>
#include <septum/segment/cascade.hpp>
#include <string>
#include <vector>

#include "nets.hpp"
#include "options.hpp"

namespace program {

/// Which blocks of a frame are background without asking the net.
struct cascade_request {
  /// their largest deviation (septum/segment/cascade.hpp); nothing: found on the first frame with
  /// cells, which is computed whole
  std::optional<double> threshold{};
  double loss = 0.0;  ///< share of that frame's cell pixels that may lie in such blocks
};

/// How a net meets an image.
struct prediction_request {
  std::size_t memory_mb = 512;
  int largest_tile = 1 << 20;  ///< side in pixels
  bool pad_by_reflection = false;
  bool turns = false;      ///< mean over the eight turns and reflections of a frame
  bool each_net = false;   ///< whether an ensemble's nets are asked one by one
  int threads_spared = 0;  ///< of the options', which the net leaves to others
  septum::convolution_algorithm convolution = septum::convolution_algorithm::automatic;
  std::optional<cascade_request> cascade{};
};

/// What a net sees of a frame and what it says about it.
struct net_frame {
  septum::image pixels;  ///< normalised, until the net has them
  bool constant = false;
  septum::ensemble_maps maps;  ///< once the frame has been collected
};

/// A model that predicts frames of a run: picks its channels, normalises and, where asked,
/// continues the image by its mirror image.
class frame_predictor {
 public:
  /// @param channels  of the frames, among which are those of the model
  /// @throws septum::shape_error when the frames lack a channel of the model
  frame_predictor(septum::model const& trained, std::vector<std::string> const& channels,
                  prediction_request const& request, common_options const& common);

  /// Class probabilities (row, column, class) of a raw frame; all zero when a channel is constant.
  /// Those of every net only where `each_net` was asked for, the model has several, and the
  /// backend tells. Adds the seconds taken.
  /// @throws septum::shape_error on a frame of other channels or smaller than the receptive field
  [[nodiscard]] septum::ensemble_maps operator()(septum::image const& raw,
                                                 std::string const& source,
                                                 double& seconds_normalize,
                                                 double& seconds_predict);

  /// The same in parts, for several frames at a time. First the net's channels, normalised; a
  /// message goes to `notes`. May be called for different frames at the same time.
  [[nodiscard]] net_frame prepare(septum::image const& raw, std::string const& source,
                                  std::vector<std::string>& notes,
                                  septum::exec::threads threads) const;
  /// Then the net: frames are collected in the order in which they were submitted, by one thread.
  [[nodiscard]] bool accepts(net_frame const& frame) const {
    return frame.constant || stream_->accepts(frame.pixels);
  }
  void submit(net_frame& frame);
  void collect(net_frame& frame);
  void abandon() { stream_->abandon(); }

  /// Whether background is kept from the net. Frames then go one by one: the threshold may come
  /// from an earlier one.
  [[nodiscard]] bool has_cascade() const { return cascade_.has_value(); }
  /// Finds the threshold of a cascade that wants one by the cells of the frame predicted last.
  void calibrate(septum::labels const& cells, std::string const& source);
  /// Share of outputs so far that the net computed; 1 without a cascade.
  [[nodiscard]] double computed_share() const {
    return outputs_ > 0 ? static_cast<double>(computed_) / static_cast<double>(outputs_) : 1.0;
  }
  /// Of the cascade, once it is known.
  [[nodiscard]] std::optional<double> cascade_threshold() const {
    return cascade_ ? cascade_->threshold : std::nullopt;
  }

  /// Whether frames come with the probabilities of every net.
  [[nodiscard]] bool each_net() const { return each_; }

  [[nodiscard]] septum::model const& trained() const { return *trained_; }
  /// Which channels of a frame are the net's.
  [[nodiscard]] std::vector<std::size_t> const& own_channels() const { return own_channels_; }

  /// @throws septum::shape_error on a frame of other channels or smaller than the receptive field
  void require_frame(std::string const& source, std::ptrdiff_t channels, std::ptrdiff_t height,
                     std::ptrdiff_t width) const;

  /// Predicts a normalised frame row by row; see septum::ensemble_runner.
  /// @throws septum::unsupported_error with a cascade whose threshold is not known
  void predict_rows(int height, int width, septum::ensemble_runner::row_source const& source,
                    septum::ensemble_runner::row_sink const& sink);
  [[nodiscard]] int rows_at_once(int height, int width) const {
    auto const blocks = rows_of_blocks();
    return net_.host->rows_at_once(height, width, blocks ? &*blocks : nullptr);
  }

  /// Bytes for tiles of a whole frame, or of one that is predicted row by row.
  [[nodiscard]] std::uint64_t tile_bytes(int height, int width) const;
  [[nodiscard]] std::uint64_t row_bytes(int height, int width) const {
    auto const blocks = rows_of_blocks();
    return net_.host->row_bytes_for(height, width, blocks ? &*blocks : nullptr);
  }
  /// At most what the nets take in the order of the kernels: Winograd's weights are four times as
  /// many.
  [[nodiscard]] std::uint64_t packed_bytes() const;
  /// Bytes of the maps, and of copies of the frame, while a whole frame is predicted.
  [[nodiscard]] std::uint64_t map_bytes(int height, int width) const;
  [[nodiscard]] std::uint64_t copy_bytes(int height, int width) const;

  /// Bytes of the frames that are in flight on a device.
  [[nodiscard]] std::uint64_t flight_bytes(int height, int width) const;
  /// Whether frames are in flight on a device.
  [[nodiscard]] bool on_device() const { return net_.stream != nullptr; }

  /// Upper bound for tiles from now on; results do not depend on it.
  void set_budget(std::size_t bytes) {
    if (net_.host) net_.host->set_budget(bytes);
  }

 private:
  // By the cascade: all of a frame until its threshold is known.
  [[nodiscard]] septum::ensemble_maps predict_lively(septum::image const& pixels);
  [[nodiscard]] septum::local_deviation measure() const;
  [[nodiscard]] std::vector<float> background() const;
  // In what portions rows come to a cascade.
  [[nodiscard]] std::optional<septum::row_selection> rows_of_blocks() const;

  static constexpr int block_side = 32;

  septum::model const* trained_;
  common_options const* common_;
  std::vector<std::string> frame_channels_;
  std::vector<std::size_t> own_channels_;
  bool pad_;
  bool turns_;
  predictor net_;
  bool each_;
  std::shared_ptr<septum::frame_stream> stream_;
  std::optional<cascade_request> cascade_;
  std::optional<septum::block_map> blocks_{};  // of the last frame
  std::int64_t outputs_ = 0;
  std::int64_t computed_ = 0;
};

}  // namespace program
