#pragma once
#include <septum/image/types.hpp>
#include <septum/io/annotation.hpp>
#include <septum/net/model.hpp>
#include <string>
#include <vector>

#include "options.hpp"
#include "training.hpp"

namespace program {

/// The trained model that a net learns from.
class teacher {
 public:
  /// Reads the request's models, which are one ensemble.
  /// @throws septum::error naming its file when its channels, classes or normaliser are not those
  ///         of the training
  teacher(training_request const& request, septum::io::dataset const& data,
          common_options const& common);

  /// Its class probabilities (row, column, class) of a data set's raw image, all zero in the border
  /// that it cannot see.
  [[nodiscard]] septum::probabilities predict(septum::io::dataset const& data) const;

  /// What tells it from others: its net, its parameters and how it sees images.
  [[nodiscard]] std::string identity() const;

  [[nodiscard]] septum::model const& trained() const { return trained_; }

 private:
  training_request const* request_;
  common_options const* common_;
  septum::model trained_;
};

/// The request's images without annotation, every pixel of them unlabelled; their channels and
/// classes are those of `like`.
/// @throws septum::error naming a file that cannot be read or is no image of these channels
[[nodiscard]] std::vector<septum::io::dataset> read_unlabelled(training_request const& request,
                                                               septum::io::dataset const& like,
                                                               common_options const& common);

}  // namespace program
