#pragma once
#include <septum/core/error.hpp>
#include <septum/core/view.hpp>
#include <septum/image/types.hpp>
#include <septum/net/frame_stream.hpp>
#include <septum/net/model.hpp>
#include <septum/net/net.hpp>
#include <septum/net/parameters.hpp>
#include <septum/net/tiled.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// How a predictor runs over large images.
struct inference_options {
  exec::threads threads{};
  /// Upper bound for the input, maps and output of one tile; results do not depend on it.
  std::size_t budget_bytes = std::size_t{256} << 20;
  /// Upper bound for a tile's side in output pixels; tiles are at least as large as the grid of
  /// Winograd convolutions asks for (34 and 71 pixels for the published nets).
  int largest_tile = 1 << 20;
  /// How convolutions are computed. Probabilities by `winograd` differ from those by `direct` by
  /// less than 1e-4 (docs/backends.md).
  convolution_algorithm convolution = convolution_algorithm::automatic;
  /// What maps hold and products multiply (backend/problem.hpp).
  host_precision precision = host_precision::f32;
  /// Called after every few rows of every net with (rows done, rows in all); may throw to stop.
  std::function<void(std::size_t, std::size_t)> progress{};
};

/// Runs parameter sets of one net over whole images, tile by tile, and averages their
/// probabilities. Compiled once, whatever nets a program has; made by ensemble<>, which see.
class ensemble_runner {
 public:
  /// What a runner has to know of the net's type.
  struct properties {
    int receptive_field = 0;
    int input_channels = 0;
    int classes = 0;
  };

  /// \param folded  one blob per net for the fused, fully convolutional form
  ensemble_runner(properties net_properties, detail::layer_assembly<float> assembly,
                  std::vector<std::vector<float>> folded, inference_options options)
      : properties_{net_properties},
        options_{std::move(options)},
        net_{std::move(assembly)},
        folded_{std::move(folded)} {}

  /// Mean class probabilities of a normalised image, zero in the border of (field - 1) / 2 pixels
  /// that the net cannot see. Axes row, column, class.
  /// @throws shape_error on an image smaller than the field or with other channels
  [[nodiscard]] probabilities predict(image const& pixels) { return run(pixels, nullptr); }

  /// The same, and what every net says by itself; takes the memory of one more result per net.
  [[nodiscard]] ensemble_maps predict_each(image const& pixels) {
    ensemble_maps maps;
    maps.nets.resize(size());
    maps.mean = run(pixels, &maps.nets);
    return maps;
  }

  /// Gives rows [first, first + count) of the normalised image (row, column, channel), `first`
  /// never going back; valid until the next call.
  using row_source = std::function<view<float const, 3>(int first, int count)>;
  /// Takes the next rows of the probabilities (row, column, class).
  using row_sink = std::function<void(view<float const, 3> rows)>;

  /// What `predict` gives, some rows at a time from the top and to the same bits, for images larger
  /// than the memory. The budget is for the rows of the image and of the result as well.
  void predict_rows(int height, int width, row_source const& source, row_sink const& sink) {
    tile_plan const plan = plan_rows(height, width);
    prepare(plan);
    int const border = (properties_.receptive_field - 1) / 2;
    auto const classes = static_cast<std::ptrdiff_t>(properties_.classes);
    std::vector<float> band(static_cast<std::size_t>(std::max(plan.tile_height, border)) *
                            static_cast<std::size_t>(width) * static_cast<std::size_t>(classes));
    auto const give = [&](int skipped, int count) {
      std::ptrdiff_t const row_values = width * classes;
      sink(view<float const, 3>{band.data() + skipped * row_values, {count, width, classes}});
    };
    give(0, border);
    auto const corners = plan.tiles();
    int done = 0;
    for (std::size_t k = 0; k < corners.size(); ++k) {
      int const row = corners[k].row;
      auto const rows = source(row, plan.tile_height + properties_.receptive_field - 1);
      view<float, 3> const target{band.data(), {plan.tile_height, width, classes}};
      // The band has no border above.
      predict_tile(rows, plan, {0, corners[k].column}, target, -border, nullptr,
                   progress_of(plan, k, corners.size()), plan.rows_of(row));
      if (k + 1 < corners.size() && corners[k + 1].row == row) continue;
      int const end = row + plan.rows_of(row);
      give(done - row, end - done);
      done = end;
    }
    std::fill(band.begin(), band.end(), 0.0F);
    give(0, border);
  }

  /// Bytes that `predict` and `predict_rows` hold for an image of that extent beside the image, the
  /// result and the nets: at most the budget, unless the smallest tile needs more.
  [[nodiscard]] std::size_t tile_bytes_for(int height, int width) const {
    tile_plan const plan = plan_for(
        height, width, [this](int rows, int columns) { return tile_bytes(rows, columns); });
    return tile_bytes(plan.tile_height + properties_.receptive_field - 1,
                      plan.tile_width + properties_.receptive_field - 1);
  }
  [[nodiscard]] std::size_t row_bytes_for(int height, int width) const {
    tile_plan const plan = plan_rows(height, width);
    return row_plan_bytes(plan.tile_height + properties_.receptive_field - 1,
                          plan.tile_width + properties_.receptive_field - 1, width);
  }
  void set_budget(std::size_t bytes) { options_.budget_bytes = bytes; }

  /// Rows of the image that predict_rows asks for at once.
  [[nodiscard]] int rows_at_once(int height, int width) const {
    return plan_rows(height, width).tile_height + properties_.receptive_field - 1;
  }

  /// Number of nets.
  [[nodiscard]] std::size_t size() const { return folded_.size(); }
  [[nodiscard]] inference_options const& options() const { return options_; }
  /// Per layer of the last prepared net: backend, time, work (net/net.hpp).
  [[nodiscard]] std::vector<layer_report> report() const { return net_.report(); }

 private:
  [[nodiscard]] probabilities run(image const& pixels, std::vector<probabilities>* each) {
    auto const height = static_cast<int>(pixels.shape()[0]);
    auto const width = static_cast<int>(pixels.shape()[1]);
    SEPTUM_EXPECTS(static_cast<int>(pixels.shape()[2]) == properties_.input_channels,
                   shape_error("septum.net.7", "an image of " + std::to_string(pixels.shape()[2]) +
                                                   " channels meets a net for " +
                                                   std::to_string(properties_.input_channels)));
    tile_plan const plan = plan_for(
        height, width, [this](int rows, int columns) { return tile_bytes(rows, columns); });
    prepare(plan);
    std::array const extents{pixels.shape()[0], pixels.shape()[1],
                             static_cast<std::size_t>(properties_.classes)};
    probabilities mean = xt::zeros<float>(extents);
    if (each != nullptr)
      for (probabilities& maps : *each) maps = xt::zeros<float>(extents);
    auto const corners = plan.tiles();
    for (std::size_t k = 0; k < corners.size(); ++k)
      predict_tile(as_view(pixels), plan, corners[k], as_view(mean), corners[k].row, each,
                   progress_of(plan, k, corners.size()));
    return mean;
  }

  // Maps of the net, copy of the input, output of one net, sum of all.
  [[nodiscard]] std::size_t tile_bytes(int height, int width) const {
    auto const pixels = static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
    return net_.buffer_bytes(height, width) +
           pixels * sizeof(float) *
               static_cast<std::size_t>(properties_.input_channels + 2 * properties_.classes);
  }

  template <class Bytes>
  [[nodiscard]] tile_plan plan_for(int height, int width, Bytes const& bytes) const {
    auto const grid = net_.output_grid();
    return plan_tiles(height, width, properties_.receptive_field, bytes, options_.budget_bytes,
                      options_.largest_tile, {grid.period, grid.margin});
  }
  // Tiles, and under them whole rows of the image and of the result.
  [[nodiscard]] tile_plan plan_rows(int height, int width) const {
    return plan_for(height, width,
                    [&](int rows, int columns) { return row_plan_bytes(rows, columns, width); });
  }
  [[nodiscard]] std::size_t row_plan_bytes(int rows, int columns, int width) const {
    auto const across = static_cast<std::size_t>(rows) * static_cast<std::size_t>(width);
    return tile_bytes(rows, columns) +
           across * sizeof(float) *
               static_cast<std::size_t>(properties_.input_channels + properties_.classes);
  }
  [[nodiscard]] std::function<void(std::size_t, int)> progress_of(tile_plan const& plan,
                                                                  std::size_t tile,
                                                                  std::size_t tiles) const {
    auto const rows = static_cast<std::size_t>(plan.tile_height);
    return [this, rows, tile, tiles](std::size_t net, int row) {
      if (options_.progress)
        options_.progress((tile * size() + net) * rows + static_cast<std::size_t>(row),
                          tiles * size() * rows);
    };
  }

  void prepare(tile_plan const& plan) {
    int const height = plan.tile_height + properties_.receptive_field - 1;
    int const width = plan.tile_width + properties_.receptive_field - 1;
    if (height == tile_height_ && width == tile_width_) return;
    net_.prepare(1, height, width);
    packed_.clear();
    for (auto const& parameters : folded_) packed_.push_back(net_.pack(parameters));
    input_.reserve(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) *
                   static_cast<std::size_t>(properties_.input_channels));
    auto const outputs = net_.output().size();
    output_.reserve(outputs);
    sum_.reserve(outputs);
    tile_height_ = height;
    tile_width_ = width;
  }

  /// @param corner     of the tile; its row counts from the first row of `pixels`
  /// @param mean_row   row of `mean` that a border above the tile would begin at
  /// @param each       maps of every net for a whole image, or nothing
  /// @param kept_rows  of the tile that go into the result; 0: as the plan says for the corner
  template <class Poll>
  void predict_tile(view<float const, 3> pixels, tile_plan const& plan, tile_plan::tile corner,
                    view<float, 3> mean, int mean_row, std::vector<probabilities>* each,
                    Poll const& poll, int kept_rows = 0) {
    auto const row_values = static_cast<std::size_t>(tile_width_) *
                            static_cast<std::size_t>(properties_.input_channels);
    for (int row = 0; row < tile_height_; ++row)
      std::copy_n(&pixels(corner.row + row, corner.column, 0), row_values,
                  input_.data() + static_cast<std::size_t>(row) * row_values);
    view<float const, 4> const x{input_.data(),
                                 {1, tile_height_, tile_width_, properties_.input_channels}};
    view<float, 4> const y{output_.data(),
                           {1, plan.tile_height, plan.tile_width, properties_.classes}};
    int const rows = kept_rows > 0 ? kept_rows : plan.rows_of(corner.row);
    auto const outputs = static_cast<std::size_t>(y.size());
    for (std::size_t k = 0; k < packed_.size(); ++k) {
      net_.forward(packed_[k], x, y, [&](int row) { poll(k, row); });
      if (each != nullptr)
        place_tile(y.data(), 1, plan, corner.column, as_view((*each)[k]), mean_row, rows);
      if (k == 0)
        std::copy_n(y.data(), outputs, sum_.data());
      else
        for (std::size_t i = 0; i < outputs; ++i) sum_.data()[i] += y.data()[i];
    }
    place_tile(sum_.data(), static_cast<float>(packed_.size()), plan, corner.column, mean, mean_row,
               rows);
  }

  /// Puts the first rows of a tile, divided by `count`, where they belong in the result.
  void place_tile(float const* tile, float count, tile_plan const& plan, int column,
                  view<float, 3> result, int result_row, int rows) const {
    int const border = (properties_.receptive_field - 1) / 2;
    auto const classes = static_cast<std::size_t>(properties_.classes);
    auto const out_values = static_cast<std::size_t>(plan.tile_width) * classes;
    auto const kept = static_cast<std::size_t>(plan.columns_of(column)) * classes;
    for (int row = 0; row < rows; ++row) {
      float* const to = &result(result_row + row + border, column + border, 0);
      float const* const from = tile + static_cast<std::size_t>(row) * out_values;
      for (std::size_t i = 0; i < kept; ++i) to[i] = from[i] / count;
    }
  }

  properties properties_;
  inference_options options_;
  network<float> net_;
  std::vector<std::vector<float>> folded_;
  std::vector<network<float>::packed> packed_;
  buffer<float> input_;
  buffer<float> output_;
  buffer<float> sum_;
  int tile_height_ = 0;
  int tile_width_ = 0;
};

/// Parameter sets of one net whose class probabilities are averaged (paper: five nets).
/// A Predictor: normalised image in, probabilities of every pixel out.
/// @tparam S      the net in its patch form; it runs fully convolutional with batch norm folded
/// @tparam Count  number of nets; 0 takes whatever the model has
template <Stack S, Backend B, int Count = 0>
class ensemble : public ensemble_runner {
  static_assert(diagnostic::stack_ends_in_softmax<ends_in_softmax_v<S>, S>::ok);
  using dense_stack = fused_t<fully_convolutional_t<S>>;

 public:
  static constexpr int classes = base_stack_t<S>::output.channels;
  static constexpr int receptive_field = base_stack_t<S>::receptive_field;
  static constexpr int input_channels = base_stack_t<S>::input_channels;

  /// @throws weights_error when a set is not the net's, not finite, or their number is not Count
  explicit ensemble(std::vector<std::vector<float>> const& parameter_sets,
                    inference_options options = {})
      : ensemble_runner{{receptive_field, input_channels, classes},
                        detail::assemble<dense_stack, B, float, false>(
                            options.threads, options.convolution, options.precision),
                        folded(parameter_sets),
                        std::move(options)} {}

  /// @throws weights_error also when the model's signature is another net's
  explicit ensemble(model const& trained, inference_options options = {})
      : ensemble{require_signature(trained).parameter_sets, std::move(options)} {}

 private:
  static model const& require_signature(model const& trained) {
    SEPTUM_EXPECTS(
        trained.description.signature == base_stack_t<S>::signature,
        weights_error("septum.weights.4", "the model is for '" + trained.description.architecture +
                                              "', another net than the one it is loaded into"));
    return trained;
  }

  static std::vector<std::vector<float>> folded(std::vector<std::vector<float>> const& sets) {
    SEPTUM_EXPECTS(
        !sets.empty() && (Count == 0 || sets.size() == static_cast<std::size_t>(Count)),
        weights_error("septum.weights.3",
                      "the model holds " + std::to_string(sets.size()) +
                          " nets, the ensemble wants " +
                          (Count == 0 ? std::string{"at least 1"} : std::to_string(Count))));
    std::vector<std::vector<float>> all;
    for (std::size_t k = 0; k < sets.size(); ++k) {
      try {
        all.push_back(fold_batch_norm<S, float>(std::span<float const>{sets[k]}));
      } catch (error& failure) {
        failure.add_note("net " + std::to_string(k));
        throw;
      }
    }
    return all;
  }
};

}  // namespace septum::inline SEPTUM_ABI
