#pragma once
#include <septum/core/config.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// One named tensor inside the flat parameter blob of a net.
struct tensor_slice {
  /// Unique within the net, e.g. "conv2.weights" or "batch_norm2.mean".
  std::string name;
  /// Convolution kernels are output channel, row, column, input channel (cross-correlation);
  /// vectors have one extent.
  std::vector<std::int64_t> extents;
  /// First value in the blob, counted in floats.
  std::size_t offset = 0;
  /// Number of values: the product of `extents`.
  std::size_t count = 0;
  friend bool operator==(tensor_slice const&, tensor_slice const&) = default;
};

/// What has to be known to use a net on an image: stored beside its parameters, pure data.
struct model_description {
  /// Name of the network type, for people, e.g. "feature_net_31".
  std::string architecture;
  /// Hash of the layer rows of the stack; two nets with equal signatures share a layout.
  std::uint64_t signature = 0;
  /// Odd side in pixels of the square that decides one output pixel.
  int receptive_field = 0;
  /// Input channels in the order of the net's input, e.g. {"phase", "nuclear"}.
  std::vector<std::string> channels;
  /// Output classes in the order of the net's output: edge, interior classes, background.
  std::vector<std::string> classes;
  /// Name of the normalisation applied to images before the net, e.g. "median_box".
  std::string normalizer;
  /// Odd side in pixels of the normalizer's box.
  int normalizer_window = 0;
  /// Side of one pixel of the training images in micrometres; 0 when unknown.
  double pixel_size_um = 0.0;
  /// Free text about the training: data sets, seed, epochs, scores.
  std::map<std::string, std::string> provenance;
  friend bool operator==(model_description const&, model_description const&) = default;
};

/// Trained parameters of one net, or of an ensemble of nets with one layout.
struct model {
  model_description description;
  /// The tensors of every parameter set, in blob order, without gaps.
  std::vector<tensor_slice> layout;
  /// One flat blob per net of the ensemble, each as long as the layout says.
  std::vector<std::vector<float>> parameter_sets;
  friend bool operator==(model const&, model const&) = default;
};

}  // namespace septum::inline SEPTUM_ABI
