#pragma once
#include <septum/core/error.hpp>
#include <septum/image/types.hpp>

#include <concepts>
#include <optional>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// Class probabilities of an ensemble, and of each of its nets. Axes row, column, class.
struct ensemble_maps {
  probabilities mean;
  std::vector<probabilities> nets;
};

/// Predicts frames of one stream of images, several at a time where a device can: while one is
/// computed, the next is copied in and the one before is copied out. Belongs to one thread.
class frame_stream {
 public:
  virtual ~frame_stream() = default;
  /// True when submit(pixels) would not throw for what is in flight.
  [[nodiscard]] virtual bool accepts(image const& pixels) const = 0;
  /// Takes a normalised image (row, column, channel).
  virtual void submit(image const& pixels) = 0;
  /// Maps of the oldest frame in flight; those of the nets where the stream was made to tell them.
  [[nodiscard]] virtual ensemble_maps collect_each() = 0;
  /// Forgets the frames in flight, after waiting for work that uses them.
  virtual void abandon() = 0;
};

/// A predictor of the host as a frame_stream: a frame is predicted when it is submitted.
/// @tparam Predict  called with a normalised image, gives ensemble_maps
template <class Predict>
  requires std::invocable<Predict&, image const&>
class immediate_frames final : public frame_stream {
 public:
  explicit immediate_frames(Predict predict) : predict_{std::move(predict)} {}

  [[nodiscard]] bool accepts(image const& /*pixels*/) const override { return !maps_; }
  void submit(image const& pixels) override { maps_ = predict_(pixels); }
  /// @throws shape_error `septum.net.10` when nothing was submitted
  [[nodiscard]] ensemble_maps collect_each() override {
    SEPTUM_EXPECTS(
        maps_, shape_error("septum.net.10", "collect without a frame in flight", fault::internal));
    return *std::exchange(maps_, std::nullopt);
  }
  void abandon() override { maps_.reset(); }

 private:
  Predict predict_;
  std::optional<ensemble_maps> maps_;
};

}  // namespace septum::inline SEPTUM_ABI
