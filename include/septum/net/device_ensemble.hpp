#pragma once
#include <septum/core/error.hpp>
#include <septum/exec/cuda_runtime.hpp>
#include <septum/image/types.hpp>
#include <septum/net/device_net.hpp>
#include <septum/net/frame_stream.hpp>
#include <septum/net/model.hpp>
#include <septum/net/parameters.hpp>
#include <septum/net/tiled.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI {

/// How a predictor runs whole frames on a device.
struct device_inference_options {
  cudnn_options cudnn{};
  /// How convolutions in f32 are computed; the other precisions sum directly. `compensated` is
  /// `direct` here.
  convolution_algorithm convolution = convolution_algorithm::automatic;
  int ordinal = 0;  ///< which GPU
  /// Frames that are copied, computed and read back at the same time.
  int frames_in_flight = 3;
  /// Upper bound for the maps of one tile, bytes; results do not depend on it.
  std::size_t budget_bytes = std::size_t{4} << 30;
  /// Upper bound for a tile's side in output pixels, unless the grid of Winograd convolutions asks
  /// for more (34 and 71 pixels for the published nets).
  int largest_tile = 1 << 20;
  /// Replay the work of a net as one CUDA graph.
  bool record = true;
  /// Also give the maps of every net (collect_each), which takes memory for them per frame in
  /// flight.
  bool each_net = false;
  /// Told when memory ran out and what is tried next, e.g. "tiles of 512x640".
  std::function<void(std::string const&)> on_less_memory{};
};

/// A frame_stream on a device. `submit` queues a frame and waits only when as many are in flight as
/// there may be, which `collect` lessens. Made by device_ensemble<>, which see.
class device_frame_predictor : public frame_stream {
 public:
  /// Probabilities of the oldest frame in flight.
  [[nodiscard]] virtual probabilities collect() = 0;
  [[nodiscard]] virtual int in_flight() const = 0;
  /// Frames that may be in flight; 0 before the first.
  [[nodiscard]] virtual int capacity() const = 0;
  [[nodiscard]] virtual std::vector<std::pair<std::string, std::string_view>> report() const = 0;
  [[nodiscard]] virtual tile_plan const& tiles() const = 0;
  /// How long each layer of one net takes over one tile, after a frame has been predicted.
  [[nodiscard]] virtual std::vector<device_layer_time> measure_layers(int repeats) = 0;
};

namespace detail {

/// What a frame predictor has to know of a net's type.
struct device_net_properties {
  int receptive_field = 0;
  int input_channels = 0;
  int classes = 0;
};

template <Backend B, class T>
class device_frames final : public device_frame_predictor {
 public:
  /// @param assemble makes the net's layers on the contexts
  template <class Assemble>
  device_frames(device_net_properties properties, device_libraries libraries,
                device_inference_options options, std::vector<std::vector<float>> const& folded,
                Assemble const& assemble)
      : properties_{properties},
        options_{std::move(options)},
        contexts_{std::move(libraries), options_.cudnn, options_.ordinal},
        upload_{contexts_.api()},
        download_{contexts_.api()},
        net_{assemble(contexts_), options_.convolution} {
    for (auto const& parameters : folded)
      parameters_.push_back(net_.upload(contexts_.stream(), parameters));
  }
  device_frames(device_frames const&) = delete;
  device_frames& operator=(device_frames const&) = delete;
  /// Waits for work that uses the memory that goes.
  ~device_frames() override { wait_for_all(); }

  void submit(image const& pixels) override {
    auto const height = static_cast<int>(pixels.shape()[0]);
    auto const width = static_cast<int>(pixels.shape()[1]);
    SEPTUM_EXPECTS(static_cast<int>(pixels.shape()[2]) == properties_.input_channels,
                   shape_error("septum.net.7", "an image of " + std::to_string(pixels.shape()[2]) +
                                                   " channels meets a net for " +
                                                   std::to_string(properties_.input_channels)));
    SEPTUM_EXPECTS(
        in_flight_ == 0 || (height == height_ && width == width_),
        shape_error("septum.net.8", "a frame of " + std::to_string(height) + "x" +
                                        std::to_string(width) + " pixels while frames of " +
                                        std::to_string(height_) + "x" + std::to_string(width_) +
                                        " are in flight; collect those first"));
    prepare(height, width);
    SEPTUM_EXPECTS(in_flight_ < capacity(),
                   shape_error("septum.net.9",
                               std::to_string(in_flight_) +
                                   " frames are in flight, as many as there may be; collect one",
                               fault::internal));
    auto& slot = slots_[static_cast<std::size_t>(next_)];
    std::copy(pixels.begin(), pixels.end(), slot.host_in.data());
    copy(upload_, view<float const, 1>{slot.host_in.values()}, slot.in.values());
    slot.uploaded.record(upload_);
    slot.uploaded.hold(contexts_.stream());
    compute(slot);
    slot.computed.record(contexts_.stream());
    slot.computed.hold(download_);
    copy(download_, view<float const, 1, device_space>{slot.out.values()}, slot.host_out.values());
    slot.downloaded.record(download_);
    next_ = (next_ + 1) % capacity();
    ++in_flight_;
  }

  probabilities collect() override { return copy_of(finish_oldest(), 0); }
  ensemble_maps collect_each() override {
    auto const& slot = finish_oldest();
    ensemble_maps maps{.mean = copy_of(slot, 0), .nets = {}};
    for (std::size_t k = 1; k < maps_per_frame(); ++k) maps.nets.push_back(copy_of(slot, k));
    return maps;
  }
  [[nodiscard]] bool accepts(image const& pixels) const override {
    return in_flight_ == 0 ||
           (in_flight_ < capacity() && static_cast<int>(pixels.shape()[0]) == height_ &&
            static_cast<int>(pixels.shape()[1]) == width_);
  }
  void abandon() override {
    wait_for_all();
    in_flight_ = 0;
  }
  [[nodiscard]] int in_flight() const override { return in_flight_; }
  [[nodiscard]] int capacity() const override { return static_cast<int>(slots_.size()); }
  [[nodiscard]] std::vector<std::pair<std::string, std::string_view>> report() const override {
    return net_.report();
  }
  [[nodiscard]] tile_plan const& tiles() const override { return tiles_; }
  [[nodiscard]] std::vector<device_layer_time> measure_layers(int repeats) override {
    return net_.measure(contexts_.stream(),
                        view<T const, 1, device_space>{parameters_.front().values()},
                        tile_.values(), maps_.values(), repeats);
  }

 private:
  // Maps of a frame: the mean of the nets, then theirs where they are wanted.
  [[nodiscard]] std::size_t maps_per_frame() const {
    return options_.each_net ? 1 + parameters_.size() : 1;
  }
  [[nodiscard]] std::size_t map_size() const {
    return static_cast<std::size_t>(height_) * static_cast<std::size_t>(width_) *
           static_cast<std::size_t>(properties_.classes);
  }

  // Errors of work that nobody wants any more are of no interest.
  void wait_for_all() {
    cuda_handle::stream* const streams[] = {upload_.get(), contexts_.stream().get(),
                                            download_.get()};
    for (auto* const stream : streams) contexts_.api().stream_synchronize(stream);
  }

  // What one frame in flight holds.
  struct frame_slot {
    frame_slot(cuda_api const& api, std::size_t in_values, std::size_t out_values)
        : host_in{api, in_values},
          host_out{api, out_values},
          in{api, in_values},
          out{api, out_values},
          uploaded{api},
          computed{api},
          downloaded{api} {}
    pinned_memory<float> host_in;
    pinned_memory<float> host_out;
    device_memory<float> in;
    device_memory<float> out;
    cuda_event uploaded;
    cuda_event computed;
    cuda_event downloaded;
  };

  frame_slot const& finish_oldest() {
    SEPTUM_EXPECTS(in_flight_ > 0, shape_error("septum.net.10", "collect without a frame in flight",
                                               fault::internal));
    int const oldest = (next_ + capacity() - in_flight_) % capacity();
    auto const& slot = slots_[static_cast<std::size_t>(oldest)];
    --in_flight_;
    slot.downloaded.synchronize();
    return slot;
  }
  [[nodiscard]] probabilities copy_of(frame_slot const& slot, std::size_t which) const {
    auto maps = probabilities::from_shape({static_cast<std::size_t>(height_),
                                           static_cast<std::size_t>(width_),
                                           static_cast<std::size_t>(properties_.classes)});
    std::copy_n(slot.host_out.data() + which * maps.size(), maps.size(), maps.data());
    return maps;
  }

  void prepare(int height, int width) {
    if (height == height_ && width == width_) return;
    height_ = width_ = 0;
    forget_tiles();
    slots_.clear();
    next_ = 0;
    SEPTUM_EXPECTS(
        height >= properties_.receptive_field && width >= properties_.receptive_field,
        shape_error("septum.net.5", "an image of " + std::to_string(height) + "x" +
                                        std::to_string(width) +
                                        " pixels is smaller than the receptive field of " +
                                        std::to_string(properties_.receptive_field)));
    make_slots(static_cast<std::size_t>(height) * static_cast<std::size_t>(width));
    make_tiles(height, width);
    height_ = height;
    width_ = width;
  }

  // As many frames in flight as memory allows.
  void make_slots(std::size_t pixels) {
    auto const& api = contexts_.api();
    for (int wanted = std::max(options_.frames_in_flight, 1);; wanted = (wanted + 1) / 2) {
      try {
        for (int k = 0; k < wanted; ++k)
          slots_.emplace_back(
              api, pixels * static_cast<std::size_t>(properties_.input_channels),
              pixels * static_cast<std::size_t>(properties_.classes) * maps_per_frame());
        return;
      } catch (device_error const& failure) {
        slots_.clear();
        if (!is_out_of_memory(failure) || wanted == 1) throw;
        tell(std::to_string((wanted + 1) / 2) + " frames in flight");
      }
    }
  }

  // Tiles as large as budget and memory allow: halved each time memory runs out.
  void make_tiles(int height, int width) {
    auto const grid = net_.output_grid();
    auto const plan_within = [&](int largest) {
      auto const bytes = [&](int rows, int columns) {
        return net_.buffer_bytes(rows, columns) + tile_values(rows, columns) * sizeof(float);
      };
      return plan_tiles(height, width, properties_.receptive_field, bytes, options_.budget_bytes,
                        largest, grid);
    };
    tiles_ = plan_within(options_.largest_tile);
    for (;;) {
      try {
        make_tile_buffers();
        return;
      } catch (device_error const& failure) {
        forget_tiles();
        int const side = std::max(tiles_.tile_height, tiles_.tile_width);
        int const largest = (side + 1) / 2;
        auto const smaller = plan_within(largest);
        bool const is_smaller =
            smaller.tile_height < tiles_.tile_height || smaller.tile_width < tiles_.tile_width;
        if (!is_out_of_memory(failure) || !is_smaller) throw;
        tiles_ = smaller;
        tell("tiles of at most " + std::to_string(largest) + "x" + std::to_string(largest));
      }
    }
  }
  void tell(std::string const& what) const {
    if (options_.on_less_memory) options_.on_less_memory(what);
  }
  [[nodiscard]] std::size_t tile_values(int rows, int columns) const {
    return static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns) *
           static_cast<std::size_t>(properties_.input_channels +
                                    (options_.each_net ? 3 : 2) * properties_.classes);
  }

  void forget_tiles() {
    recorded_.clear();
    tile_ = {};
    maps_ = {};
    sum_ = {};
    own_ = {};
  }

  void make_tile_buffers() {
    auto const& api = contexts_.api();
    int const margin = properties_.receptive_field - 1;
    net_.prepare(api, 1, tiles_.tile_height + margin, tiles_.tile_width + margin);
    tile_ = device_array<T, 4>{
        api,
        {1, tiles_.tile_height + margin, tiles_.tile_width + margin, properties_.input_channels}};
    std::array<std::ptrdiff_t, 4> const out{1, tiles_.tile_height, tiles_.tile_width,
                                            properties_.classes};
    maps_ = device_array<T, 4>{api, out};
    sum_ = device_array<float, 4>{api, out};
    if (options_.each_net) own_ = device_array<float, 4>{api, out};
    set_zero(contexts_.stream(), tile_.values());
    run_net(0);  // loads what is loaded at first use, which must not happen while recording
    contexts_.stream().synchronize();
    if (options_.record) record();
  }

  // What cannot be recorded runs call by call.
  void record() {
    try {
      for (std::size_t k = 0; k < parameters_.size(); ++k)
        recorded_.emplace_back(contexts_.stream(), [&] { run_net(k); });
    } catch (device_error const& failure) {
      recorded_.clear();
      if (is_out_of_memory(failure)) throw;
    }
  }

  // One net over the tile, its result added to the sum of the nets, and alone where it is wanted.
  void run_net(std::size_t k) {
    auto const maps = maps_.values();
    net_.forward(view<T const, 1, device_space>{parameters_[k].values()}, tile_.values(), maps);
    auto const add_to = [&](view<float, 4, device_space> sum, bool first) {
      contexts_.template get<cuda>().launch(
          flat_extent(sum.size()),
          add_net<T>{flat(view<T const, 4, device_space>{maps}), flat(sum), first});
    };
    add_to(sum_.values(), k == 0);
    if (options_.each_net) add_to(own_.values(), true);
  }

  void compute(frame_slot const& slot) {
    auto& device = contexts_.template get<cuda>();
    int const border = (properties_.receptive_field - 1) / 2;
    view<float const, 3, device_space> const frame{slot.in.data(),
                                                   {height_, width_, properties_.input_channels}};
    auto const out = [&](std::size_t which) {
      return view<float, 3, device_space>{slot.out.data() + which * map_size(),
                                          {height_, width_, properties_.classes}};
    };
    set_zero(contexts_.stream(), slot.out.values());
    auto const tile = tile_.values();
    auto const extent = [](auto const& map) {
      return map_extent(1, {static_cast<int>(map.extent(1)), static_cast<int>(map.extent(2)),
                            static_cast<int>(map.extent(3))});
    };
    for (auto const corner : tiles_.tiles()) {
      auto const put = [&](view<float, 4, device_space> sum, std::size_t which, std::size_t nets) {
        device.launch(extent(sum), put_tile<>{view<float const, 4, device_space>{sum}, out(which),
                                              corner.row + border, corner.column + border,
                                              static_cast<float>(nets)});
      };
      device.launch(extent(tile), cut_tile<T>{frame, tile, corner.row, corner.column});
      for (std::size_t k = 0; k < parameters_.size(); ++k) {
        if (recorded_.empty())
          run_net(k);
        else
          recorded_[k].launch(contexts_.stream());
        if (options_.each_net) put(own_.values(), 1 + k, 1);
      }
      put(sum_.values(), 0, parameters_.size());
    }
  }

  device_net_properties properties_;
  device_inference_options options_;
  device_contexts<B> contexts_;
  cuda_stream upload_;
  cuda_stream download_;
  device_network<T> net_;
  std::vector<device_memory<T>> parameters_;
  std::vector<frame_slot> slots_;
  tile_plan tiles_;
  device_array<T, 4> tile_;
  device_array<T, 4> maps_;
  device_array<float, 4> sum_;
  device_array<float, 4> own_;  // of one net, where every net's maps are wanted
  std::vector<recorded_work> recorded_;
  int height_ = 0;
  int width_ = 0;
  int next_ = 0;
  int in_flight_ = 0;
};

}  // namespace detail

/// Parameter sets of one net whose probabilities are averaged, on a GPU: what ensemble<> is on the
/// host, and a Predictor as well. Precision is a value: cudnn_options::precision.
/// @tparam S  the net in its patch form   @tparam B  cudnn, or cuda for septum's kernels alone
template <Stack S, Backend B = cudnn>
class device_ensemble {
  static_assert(diagnostic::stack_ends_in_softmax<ends_in_softmax_v<S>, S>::ok);
  using dense_stack = fused_t<fully_convolutional_t<S>>;

 public:
  static constexpr int classes = base_stack_t<S>::output.channels;
  static constexpr int receptive_field = base_stack_t<S>::receptive_field;
  static constexpr int input_channels = base_stack_t<S>::input_channels;

  /// @throws weights_error when a set is not the net's or not finite; device_error
  explicit device_ensemble(std::vector<std::vector<float>> const& parameter_sets,
                           device_libraries libraries, device_inference_options options = {}) {
    SEPTUM_EXPECTS(
        !parameter_sets.empty(),
        weights_error("septum.weights.3", "the model holds 0 nets, the ensemble wants at least 1"));
    std::vector<std::vector<float>> folded;
    for (auto const& set : parameter_sets)
      folded.push_back(fold_batch_norm<S, float>(std::span<float const>{set}));
    auto const precision = options.cudnn.precision;
    if (precision == gpu_precision::bf16)
      make<bfloat16>(std::move(libraries), std::move(options), folded);
    else if (precision == gpu_precision::f16)
      make<float16>(std::move(libraries), std::move(options), folded);
    else
      make<float>(std::move(libraries), std::move(options), folded);
  }
  /// @throws weights_error also when the model's signature is another net's
  device_ensemble(model const& trained, device_libraries libraries,
                  device_inference_options options = {})
      : device_ensemble{require_signature(trained).parameter_sets, std::move(libraries),
                        std::move(options)} {}

  /// Mean class probabilities of a normalised image (row, column, channel), zero in the border of
  /// (field - 1) / 2 pixels.
  [[nodiscard]] probabilities predict(image const& pixels) {
    frames_->abandon();
    frames_->submit(pixels);
    return frames_->collect();
  }
  /// The same, and what every net says by itself where options.each_net asks for it.
  [[nodiscard]] ensemble_maps predict_each(image const& pixels) {
    frames_->abandon();
    frames_->submit(pixels);
    return frames_->collect_each();
  }
  /// Predicts a series: `next()` gives images (std::optional) until it gives none, and `use(maps)`
  /// takes their probabilities in the same order. Reading and using run on the host while the
  /// device computes.
  template <class Next, class Use>
  void predict_series(Next const& next, Use const& use) {
    frames_->abandon();
    std::optional<image> waiting = next();
    while (waiting || frames_->in_flight() > 0) {
      while (waiting && frames_->accepts(*waiting)) {
        frames_->submit(*waiting);
        waiting = next();
      }
      use(frames_->collect());
    }
  }
  [[nodiscard]] device_frame_predictor& frames() { return *frames_; }
  /// Per layer: what it is and which backend was resolved for it.
  [[nodiscard]] std::vector<std::pair<std::string, std::string_view>> report() const {
    return frames_->report();
  }

 private:
  template <class T>
  void make(device_libraries libraries, device_inference_options options,
            std::vector<std::vector<float>> const& folded) {
    frames_ = std::make_unique<detail::device_frames<B, T>>(
        detail::device_net_properties{receptive_field, input_channels, classes},
        std::move(libraries), std::move(options), folded, [](device_contexts<B>& contexts) {
          return detail::assemble_on_device<dense_stack, B, T>(contexts);
        });
  }
  static model const& require_signature(model const& trained) {
    SEPTUM_EXPECTS(
        trained.description.signature == base_stack_t<S>::signature,
        weights_error("septum.weights.4", "the model is for '" + trained.description.architecture +
                                              "', another net than the one it is loaded into"));
    return trained;
  }

  std::unique_ptr<device_frame_predictor> frames_;
};

}  // namespace septum::inline SEPTUM_ABI
