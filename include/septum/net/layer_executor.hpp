#pragma once
#include <septum/backend/problem.hpp>
#include <septum/core/rng.hpp>
#include <septum/nn/stack.hpp>

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// The kernel of one layer behind a common face. A net type only decides which executors there are;
/// everything that runs them is compiled once per scalar type, however many nets a program has.
template <class T>
class layer_executor {
 public:
  virtual ~layer_executor() = default;
  virtual void prepare(layer_problem const& problem) = 0;
  /// First row and column of every call's output are multiples of it (backend/problem.hpp).
  [[nodiscard]] virtual int grid(layer_problem const& problem) const = 0;
  /// What the kernel says it needs beside the maps; 0 where it says nothing.
  [[nodiscard]] virtual std::size_t scratch_bytes(layer_problem const& problem) const = 0;
  /// One parameter set in the kernel's own order.
  [[nodiscard]] virtual std::shared_ptr<void const> pack(std::span<T const> parameters) = 0;
  virtual void forward(void const* packed, const_layer_map x, layer_map y) = 0;
  virtual void forward_train(void const* packed, const_layer_map x, layer_map y,
                             counter_rng step) = 0;
  virtual void backward(void const* packed, const_layer_map x, const_layer_map y, layer_map dy,
                        layer_map dx, std::span<T> dparameters) = 0;
  /// Whether the layer's maps may be in bfloat16, and of different scalars.
  [[nodiscard]] virtual bool takes_bfloat16(layer_problem const& problem) const = 0;
  [[nodiscard]] virtual bool converts() const = 0;
};

// State of training for kernels that can train; empty for those that cannot.
template <class Kernel, bool CanTrain>
struct saved_of_kernel {};
template <class Kernel>
struct saved_of_kernel<Kernel, true> {
  typename Kernel::saved value;
};

/// @tparam Maps the kernel's scalar; bfloat16 for one that takes maps of either scalar
template <class B, class Kind, class T, class Maps = T>
class kernel_executor final : public layer_executor<T> {
  using kernel_type = kernel<B, Kind, Maps>;
  using packed = typename kernel_type::packed;
  static constexpr bool can_train = Trains<B, Kind, Maps>;
  static constexpr bool is_plain = std::is_same_v<T, Maps>;

 public:
  explicit kernel_executor(context<B>& context) : context_{&context} {}

  void prepare(layer_problem const& problem) override {
    plan_ = kernel_type::prepare(*context_, problem);
    if constexpr (can_train)
      if (problem.training) saved_.value = kernel_type::make_saved(*context_, plan_);
  }
  int grid([[maybe_unused]] layer_problem const& problem) const override {
    if constexpr (requires { kernel_type::grid(problem); }) return kernel_type::grid(problem);
    return 1;
  }
  std::size_t scratch_bytes([[maybe_unused]] layer_problem const& problem) const override {
    if constexpr (requires { kernel_type::scratch_bytes(*context_, problem); })
      return kernel_type::scratch_bytes(*context_, problem);
    return 0;
  }
  std::shared_ptr<void const> pack(std::span<T const> parameters) override {
    return std::make_shared<packed const>(kernel_type::pack(*context_, plan_, parameters));
  }
  void forward(void const* packed_set, const_layer_map x, layer_map y) override {
    kernel_type::forward(*context_, plan_, *static_cast<packed const*>(packed_set), own(x), own(y));
  }
  void forward_train([[maybe_unused]] void const* packed_set, [[maybe_unused]] const_layer_map x,
                     [[maybe_unused]] layer_map y, [[maybe_unused]] counter_rng step) override {
    if constexpr (can_train)
      kernel_type::forward_train(*context_, plan_, *static_cast<packed const*>(packed_set),
                                 saved_.value, own(x), own(y), step);
  }
  void backward([[maybe_unused]] void const* packed_set, [[maybe_unused]] const_layer_map x,
                [[maybe_unused]] const_layer_map y, [[maybe_unused]] layer_map dy,
                [[maybe_unused]] layer_map dx, [[maybe_unused]] std::span<T> dparameters) override {
    if constexpr (can_train)
      kernel_type::backward(*context_, plan_, *static_cast<packed const*>(packed_set), saved_.value,
                            own(x), own(y), own(dy), own(dx), dparameters);
  }
  bool takes_bfloat16([[maybe_unused]] layer_problem const& problem) const override {
    if constexpr (is_plain)
      return false;
    else
      return kernel_type::takes(problem);
  }
  bool converts() const override {
    if constexpr (is_plain)
      return false;
    else
      return kernel_type::converts;
  }

 private:
  template <class Map>
  static auto own(Map map) {
    if constexpr (is_plain)
      return map.template as<T>();
    else
      return map;
  }

  context<B>* context_;
  typename kernel_type::plan plan_{};
  saved_of_kernel<kernel_type, can_train> saved_;
};

/// One layer of a net at run time.
template <class T>
struct layer_entry {
  std::string_view name;
  std::string_view backend;
  bool relu = false;
  double dropout_rate = 0.0;
  std::unique_ptr<layer_executor<T>> executor;
  /// The kernel for maps in bfloat16, where the net holds some and the layer has one.
  std::unique_ptr<layer_executor<T>> reduced{};
};

/// A stack with its kernels chosen, its type forgotten.
template <class T>
struct layer_assembly {
  int input_channels = 0;
  int receptive_field = 0;
  std::size_t parameter_count = 0;
  std::vector<layer_row> (*rows)(int height, int width) = nullptr;
  exec::threads threads{};
  convolution_algorithm convolution = convolution_algorithm::direct;
  host_precision precision = host_precision::f32;
  std::shared_ptr<void> contexts;  // keeps alive what the executors point to
  /// Fresh executors: a plan set of their own for every input extent.
  std::function<std::vector<layer_entry<T>>()> make_layers;
};

template <Backend B, class T>
struct layer_factory {
  template <class L, bool Training>
  static layer_entry<T> make(context_chain<B>& contexts, host_precision precision) {
    using resolved = resolved_backend_t<B, typename L::kind, T>;
    static_assert(
        diagnostic::backend_has_a_kernel<!std::is_void_v<resolved>, diagnostic::with_backend<B>,
                                         diagnostic::the_layer<L>, diagnostic::with_scalar<T>>::ok);
    if constexpr (!std::is_void_v<resolved>) {
      static_assert(diagnostic::backend_trains_this_layer < !Training ||
                        Trains<resolved, typename L::kind, T>,
                    diagnostic::with_backend<resolved>, diagnostic::the_layer < L >> ::ok);
      layer_entry<T> entry{L::name, resolved::name, applies_relu_v<L>, dropout_rate_v<L>,
                           std::make_unique<kernel_executor<resolved, typename L::kind, T>>(
                               contexts.template get<resolved>())};
      if (precision == host_precision::bf16)
        entry.reduced = make_reduced<typename L::kind>(contexts);
      return entry;
    } else {
      return {};
    }
  }
  template <class Kind>
  static std::unique_ptr<layer_executor<T>> make_reduced(
      [[maybe_unused]] context_chain<B>& contexts) {
    using resolved = bfloat16_backend_t<B, Kind>;
    if constexpr (std::is_same_v<T, float> && !std::is_void_v<resolved>)
      return std::make_unique<kernel_executor<resolved, Kind, T, bfloat16>>(
          contexts.template get<resolved>());
    else
      return nullptr;
  }
  template <bool Training>
  struct with_layers {
    template <class... Layers>
    struct apply {
      static std::vector<layer_entry<T>> all(context_chain<B>& contexts, host_precision precision) {
        std::vector<layer_entry<T>> entries;
        entries.reserve(sizeof...(Layers));
        (entries.push_back(make<Layers, Training>(contexts, precision)), ...);
        return entries;
      }
    };
  };
};

template <Stack S>
std::vector<layer_row> row_vector(int height, int width) {
  auto const rows = base_stack_t<S>::rows(height, width);
  return {rows.begin(), rows.end()};
}

template <Stack S, Backend B, class T, bool Training>
layer_assembly<T> assemble(exec::threads threads,
                           convolution_algorithm convolution = convolution_algorithm::direct,
                           host_precision precision = host_precision::f32) {
  using base = base_stack_t<S>;
  using layers = typename base::template apply<
      layer_factory<B, T>::template with_layers<Training>::template apply>;
  auto contexts = std::make_shared<context_chain<B>>(threads);
  auto* const raw = contexts.get();
  return {base::input_channels,
          base::receptive_field,
          base::parameter_count,
          &row_vector<S>,
          threads,
          convolution,
          precision,
          std::move(contexts),
          [raw, precision] { return layers::all(*raw, precision); }};
}

inline layer_problem make_problem(layer_row const& row, bool relu, double dropout_rate, int batch) {
  return {.batch = batch,
          .in = row.in,
          .out = row.out,
          .geometry = row.geometry,
          .relu = relu,
          .dropout_rate = dropout_rate};
}

inline std::string describe_layer(std::string_view name, layer_row const& row, bool relu) {
  std::string text{name};
  if (row.out.channels != row.in.channels || row.count > 0)
    text += " " + std::to_string(row.out.channels);
  if (row.geometry.kernel > 1) {
    std::string const side = std::to_string(row.geometry.kernel);
    text += " " + side + "x" + side;
  }
  if (row.geometry.dilation > 1) text += " dilation " + std::to_string(row.geometry.dilation);
  if (relu) text += " relu";
  return text;
}

}  // namespace septum::inline SEPTUM_ABI::detail
