#pragma once
#include <septum/core/error.hpp>
#include <septum/core/view.hpp>
#include <septum/image/types.hpp>
#include <septum/net/frame_stream.hpp>
#include <septum/net/model.hpp>
#include <septum/net/net.hpp>
#include <septum/net/output_part.hpp>
#include <septum/net/parameters.hpp>
#include <septum/net/tiled.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <numeric>
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
  [[nodiscard]] probabilities predict(image const& pixels) { return run(as_view(pixels), nullptr); }

  /// The same, and what every net says by itself; takes the memory of one more result per net.
  [[nodiscard]] ensemble_maps predict_each(image const& pixels) {
    ensemble_maps maps;
    maps.nets.resize(size());
    maps.mean = run(as_view(pixels), &maps.nets);
    return maps;
  }

  /// What `predict` gives where parts keep it, to the same bits, and `elsewhere` (a value per
  /// class) everywhere else inside the border.
  [[nodiscard]] probabilities predict_parts(image const& pixels, std::span<output_part const> parts,
                                            std::span<float const> elsewhere) {
    return run_parts(as_view(pixels), parts, elsewhere, nullptr);
  }

  /// The same with what every net says by itself.
  [[nodiscard]] ensemble_maps predict_parts_each(image const& pixels,
                                                 std::span<output_part const> parts,
                                                 std::span<float const> elsewhere) {
    ensemble_maps maps;
    maps.nets.resize(size());
    maps.mean = run_parts(as_view(pixels), parts, elsewhere, &maps.nets);
    return maps;
  }

  /// Gives rows [first, first + count) of the normalised image (row, column, channel), `first`
  /// never going back; valid until the next call.
  using row_source = std::function<view<float const, 3>(int first, int count)>;
  /// Takes the next rows of the probabilities (row, column, class).
  using row_sink = std::function<void(view<float const, 3> rows)>;

  /// What `predict` gives, some rows at a time from the top and to the same bits, for images larger
  /// than the memory. The budget is for the rows of the image and of the result as well.
  /// @param selection  what `predict_parts` would compute of it; nothing: all
  void predict_rows(int height, int width, row_source const& source, row_sink const& sink,
                    row_selection const* selection = nullptr) {
    tile_plan const plan = plan_rows(height, width, selection);
    if (selection == nullptr) prepare(plan);
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
      bool const last_of_row = k + 1 == corners.size() || corners[k + 1].row != row;
      if (selection != nullptr && !last_of_row) continue;
      auto const rows = source(row, plan.tile_height + properties_.receptive_field - 1);
      view<float, 3> const target{band.data(), {plan.tile_height, width, classes}};
      // The band has no border above.
      if (selection != nullptr) {
        fill_outputs(target, 0, selection->elsewhere);
        // Tiles of parts take no more than those of the plan.
        compute_parts(rows, selection->choose(rows, plan.rows_of(row)), target, 0, nullptr,
                      tile_bytes(plan.tile_height + properties_.receptive_field - 1,
                                 plan.tile_width + properties_.receptive_field - 1));
      } else {
        predict_tile(rows, plan, {0, corners[k].column}, target, -border, nullptr,
                     progress_of(plan, k, corners.size()), plan.rows_of(row));
      }
      if (!last_of_row) continue;
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
        height, width, [this](int rows, int columns) { return tile_bytes(rows, columns); }, 1,
        options_.budget_bytes);
    return tile_bytes(plan.tile_height + properties_.receptive_field - 1,
                      plan.tile_width + properties_.receptive_field - 1);
  }
  [[nodiscard]] std::size_t row_bytes_for(int height, int width,
                                          row_selection const* selection = nullptr) const {
    tile_plan const plan = plan_rows(height, width, selection);
    return row_plan_bytes(plan.tile_height + properties_.receptive_field - 1,
                          plan.tile_width + properties_.receptive_field - 1, width, selection);
  }
  void set_budget(std::size_t bytes) { options_.budget_bytes = bytes; }

  /// Rows of the image that predict_rows asks for at once.
  [[nodiscard]] int rows_at_once(int height, int width,
                                 row_selection const* selection = nullptr) const {
    return plan_rows(height, width, selection).tile_height + properties_.receptive_field - 1;
  }

  /// Number of nets.
  [[nodiscard]] std::size_t size() const { return folded_.size(); }
  [[nodiscard]] inference_options const& options() const { return options_; }
  /// Per layer of the last prepared net: backend, time, work (net/net.hpp).
  [[nodiscard]] std::vector<layer_report> report() const { return net_.report(); }

 private:
  [[nodiscard]] std::array<std::size_t, 3> expect_channels(view<float const, 3> pixels) const {
    SEPTUM_EXPECTS(static_cast<int>(pixels.extent(2)) == properties_.input_channels,
                   shape_error("septum.net.7", "an image of " + std::to_string(pixels.extent(2)) +
                                                   " channels meets a net for " +
                                                   std::to_string(properties_.input_channels)));
    return {static_cast<std::size_t>(pixels.extent(0)), static_cast<std::size_t>(pixels.extent(1)),
            static_cast<std::size_t>(properties_.classes)};
  }

  [[nodiscard]] probabilities run(view<float const, 3> pixels, std::vector<probabilities>* each) {
    return run(pixels, each, options_.budget_bytes);
  }
  [[nodiscard]] probabilities run(view<float const, 3> pixels, std::vector<probabilities>* each,
                                  std::size_t budget_bytes) {
    auto const extents = expect_channels(pixels);
    auto const height = static_cast<int>(pixels.extent(0));
    auto const width = static_cast<int>(pixels.extent(1));
    tile_plan const plan = plan_for(
        height, width, [this](int rows, int columns) { return tile_bytes(rows, columns); }, 1,
        budget_bytes);
    prepare(plan);
    probabilities mean = xt::zeros<float>(extents);
    if (each != nullptr)
      for (probabilities& maps : *each) maps = xt::zeros<float>(extents);
    auto const corners = plan.tiles();
    for (std::size_t k = 0; k < corners.size(); ++k)
      predict_tile(pixels, plan, corners[k], as_view(mean), corners[k].row, each,
                   progress_of(plan, k, corners.size()));
    return mean;
  }

  [[nodiscard]] probabilities run_parts(view<float const, 3> pixels,
                                        std::span<output_part const> parts,
                                        std::span<float const> elsewhere,
                                        std::vector<probabilities>* each) {
    int const border = (properties_.receptive_field - 1) / 2;
    probabilities mean = xt::zeros<float>(expect_channels(pixels));
    fill_outputs(as_view(mean), border, elsewhere);
    if (each != nullptr) std::fill(each->begin(), each->end(), mean);
    compute_parts(pixels, parts, as_view(mean), border, each, options_.budget_bytes);
    return mean;
  }

  /// Gives every output of `maps`, which begins with so many rows of border, the values of classes.
  void fill_outputs(view<float, 3> maps, int border_rows, std::span<float const> values) const {
    int const border = (properties_.receptive_field - 1) / 2;
    for (std::ptrdiff_t row = border_rows; row < maps.extent(0) - border_rows; ++row)
      for (std::ptrdiff_t column = border; column < maps.extent(1) - border; ++column)
        std::copy(values.begin(), values.end(), &maps(row, column, 0));
  }

  /// Computes parts and puts what they keep into `mean`, which begins with so many rows of border.
  void compute_parts(view<float const, 3> pixels, std::span<output_part const> parts,
                     view<float, 3> mean, int border_rows, std::vector<probabilities>* each,
                     std::size_t budget_bytes) {
    // Those of one extent share their plans.
    std::vector<std::size_t> order(parts.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    auto const extent_of = [&](std::size_t k) {
      return std::array{parts[k].area.rows, parts[k].area.columns};
    };
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return extent_of(a) < extent_of(b); });
    std::vector<probabilities> own(each != nullptr ? each->size() : 0);
    for (std::size_t const k : order) {
      auto const area = on_grid(parts[k].area, pixels);
      int const lost = properties_.receptive_field - 1;
      auto const maps =
          run(pixels.block({area.row, area.column, 0},
                           {area.rows + lost, area.columns + lost, properties_.input_channels}),
              each != nullptr ? &own : nullptr, budget_bytes);
      for (auto const& kept : parts[k].kept) {
        keep(maps, area, kept, mean, border_rows);
        for (std::size_t net = 0; net < own.size(); ++net)
          keep(own[net], area, kept, as_view((*each)[net]), border_rows);
      }
    }
  }

  /// The area widened to where the map may be cut, with the margin behind.
  [[nodiscard]] output_rectangle on_grid(output_rectangle area, view<float const, 3> pixels) const {
    auto const grid = net_.output_grid();
    auto const widen = [&](int first, int count, std::ptrdiff_t extent) {
      int const begin = first / grid.period * grid.period;
      int const end = (first + count + grid.period - 1) / grid.period * grid.period + grid.margin;
      int const last = static_cast<int>(extent) - properties_.receptive_field + 1;
      return std::array{begin, std::min(end, last) - begin};
    };
    auto const [row, rows] = widen(area.row, area.rows, pixels.extent(0));
    auto const [column, columns] = widen(area.column, area.columns, pixels.extent(1));
    return {row, column, rows, columns};
  }

  void keep(probabilities const& part, output_rectangle area, output_rectangle kept,
            view<float, 3> maps, int border_rows) const {
    int const border = (properties_.receptive_field - 1) / 2;
    auto const from = as_view(part);
    auto const values = static_cast<std::ptrdiff_t>(kept.columns) * properties_.classes;
    for (int row = 0; row < kept.rows; ++row)
      std::copy_n(&from(kept.row - area.row + row + border, kept.column - area.column + border, 0),
                  values, &maps(kept.row + row + border_rows, kept.column + border, 0));
  }

  // Maps of the net, copy of the input, output of one net, sum of all.
  [[nodiscard]] std::size_t tile_bytes(int height, int width) const {
    auto const pixels = static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
    return net_.buffer_bytes(height, width) +
           pixels * sizeof(float) *
               static_cast<std::size_t>(properties_.input_channels + 2 * properties_.classes);
  }

  template <class Bytes>
  [[nodiscard]] tile_plan plan_for(int height, int width, Bytes const& bytes, int period,
                                   std::size_t budget_bytes) const {
    auto const grid = net_.output_grid();
    return plan_tiles(height, width, properties_.receptive_field, bytes, budget_bytes,
                      options_.largest_tile, {std::lcm(grid.period, period), grid.margin});
  }
  // Tiles, and under them whole rows of the image and of the result; those of a part as well.
  [[nodiscard]] tile_plan plan_rows(int height, int width, row_selection const* selection) const {
    return plan_for(
        height, width,
        [&](int rows, int columns) { return row_plan_bytes(rows, columns, width, selection); },
        selection == nullptr ? 1 : selection->period, options_.budget_bytes);
  }
  [[nodiscard]] std::size_t row_plan_bytes(int rows, int columns, int width,
                                           row_selection const* selection) const {
    auto const across = static_cast<std::size_t>(rows) * static_cast<std::size_t>(width);
    int const maps = selection == nullptr ? 1 : 2;
    return tile_bytes(rows, columns) +
           across * sizeof(float) *
               static_cast<std::size_t>(properties_.input_channels + maps * properties_.classes);
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
