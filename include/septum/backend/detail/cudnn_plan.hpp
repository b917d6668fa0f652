#pragma once
#include <septum/backend/detail/cudnn_graph.hpp>
#include <septum/core/hash.hpp>
#include <septum/exec/cuda_runtime.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

/// Execution plans of cuDNN: from the description of a graph to something that runs.
namespace septum::inline SEPTUM_ABI::detail {

/// One descriptor of cuDNN with its attributes.
class cudnn_descriptor {
 public:
  cudnn_descriptor(cudnn_api const& api, int type) : api_{&api} {
    void* handle = nullptr;
    check(api, api.create_descriptor(type, &handle),
          "cudnnBackendCreateDescriptor " + std::to_string(type));
    handle_ = {handle, api.destroy_descriptor};
  }
  [[nodiscard]] void* get() const { return handle_.get(); }

  template <class T>
  cudnn_descriptor& set(int attribute, int type, std::span<T const> values) {
    check(*api_,
          api_->set_attribute(get(), attribute, type, std::ssize(values),
                              static_cast<void const*>(values.data())),
          "cudnnBackendSetAttribute " + std::to_string(attribute));
    return *this;
  }
  template <class T, std::size_t N>
  cudnn_descriptor& set(int attribute, int type, std::array<T, N> const& values) {
    return set(attribute, type, std::span<T const>{values});
  }
  template <class T>
  cudnn_descriptor& set(int attribute, int type, T value) {
    return set(attribute, type, std::span<T const>{&value, 1});
  }
  cudnn_descriptor& set(int attribute, cudnn_descriptor const& other) {
    return set(attribute, cudnn_constant::type_descriptor, other.get());
  }
  cudnn_descriptor& finalize() {
    check(*api_, try_finalize(), "cudnnBackendFinalize");
    return *this;
  }
  [[nodiscard]] int try_finalize() { return api_->finalize(get()); }

  /// Number of values that an attribute has.
  [[nodiscard]] std::int64_t count(int attribute, int type) const {
    std::int64_t found = 0;
    check(*api_, api_->get_attribute(get(), attribute, type, 0, &found, nullptr),
          "cudnnBackendGetAttribute " + std::to_string(attribute));
    return found;
  }
  /// Reads up to values.size() values; returns how many.
  template <class T>
  std::int64_t read(int attribute, int type, std::span<T> values) const {
    std::int64_t found = 0;
    check(*api_,
          api_->get_attribute(get(), attribute, type, std::ssize(values), &found,
                              static_cast<void*>(values.data())),
          "cudnnBackendGetAttribute " + std::to_string(attribute));
    return found;
  }

 private:
  cudnn_api const* api_;
  cuda_owner<void> handle_;
};

/// The device that plans are for: one of this machine, or one described in words, for which plans
/// are made without it.
[[nodiscard]] inline cudnn_descriptor describe_device(cudnn_api const& api, int ordinal) {
  cudnn_descriptor device{api, cudnn_constant::device_descriptor};
  device.set(cudnn_constant::device_ordinal, cudnn_constant::type_int32,
             static_cast<std::int32_t>(ordinal));
  device.finalize();
  return device;
}
[[nodiscard]] inline cudnn_descriptor describe_device(cudnn_api const& api,
                                                      std::string const& json) {
  cudnn_descriptor device{api, cudnn_constant::device_descriptor};
  device.set(cudnn_constant::device_json, cudnn_constant::type_char,
             std::span<char const>{json.c_str(), json.size() + 1});
  device.finalize();
  return device;
}

/// Tensors, operations and graph as cuDNN's descriptors.
class cudnn_graph_descriptors {
 public:
  cudnn_graph_descriptors(cudnn_api const& api, cudnn_graph const& graph)
      : api_{&api}, whole_{api, cudnn_constant::graph_descriptor} {
    namespace is = cudnn_constant;
    for (auto const& tensor : graph.tensors) {
      auto& made = tensors_.emplace_back(api, is::tensor_descriptor);
      made.set(is::tensor_data_type, is::type_data_type, tensor.type)
          .set(is::tensor_dimensions, is::type_int64, tensor.extents)
          .set(is::tensor_strides, is::type_int64, tensor.strides)
          .set(is::tensor_unique_id, is::type_int64, tensor.id)
          .set(is::tensor_alignment, is::type_int64, tensor.alignment)
          .set(is::tensor_is_virtual, is::type_boolean, tensor.is_virtual)
          .finalize();
    }
    std::vector<void*> operations;
    for (auto const& operation : graph.operations) {
      add(graph, operation);
      operations.push_back(operations_.back().get());
    }
    whole_.set(is::graph_operations, is::type_descriptor, std::span<void* const>{operations})
        .finalize();
  }
  [[nodiscard]] cudnn_descriptor const& whole() const { return whole_; }

 private:
  struct convolution_names {
    int type, alpha, beta, convolution, x, other, y;
  };
  // Which attributes take x, the other factor and the result.
  static constexpr convolution_names names_of(cudnn_step step) {
    namespace is = cudnn_constant;
    if (step == cudnn_step::forward)
      return {is::convolution_forward_descriptor,
              is::forward_alpha,
              is::forward_beta,
              is::forward_convolution,
              is::forward_x,
              is::forward_w,
              is::forward_y};
    if (step == cudnn_step::backward_data)
      return {is::convolution_backward_data_descriptor,
              is::backward_data_alpha,
              is::backward_data_beta,
              is::backward_data_convolution,
              is::backward_data_dy,
              is::backward_data_w,
              is::backward_data_dx};
    return {is::convolution_backward_filter_descriptor,
            is::backward_filter_alpha,
            is::backward_filter_beta,
            is::backward_filter_convolution,
            is::backward_filter_x,
            is::backward_filter_dy,
            is::backward_filter_dw};
  }

  [[nodiscard]] cudnn_descriptor const& tensor(cudnn_graph const& graph, std::int64_t id) const {
    return tensors_[static_cast<std::size_t>(&graph.tensor(id) - graph.tensors.data())];
  }

  void add(cudnn_graph const& graph, cudnn_operation const& operation) {
    namespace is = cudnn_constant;
    if (operation.step == cudnn_step::add || operation.step == cudnn_step::relu) {
      auto& pointwise = parts_.emplace_back(*api_, is::pointwise_descriptor);
      pointwise
          .set(is::pointwise_mode, is::type_pointwise_mode,
               operation.step == cudnn_step::add ? is::pointwise_add : is::pointwise_relu_forward)
          .set(is::pointwise_precision, is::type_data_type, is::data_float)
          .finalize();
      cudnn_descriptor made{*api_, is::operation_pointwise_descriptor};
      made.set(is::operation_pointwise, pointwise)
          .set(is::operation_pointwise_x, tensor(graph, operation.x))
          .set(is::operation_pointwise_y, tensor(graph, operation.y));
      if (operation.step == cudnn_step::add)
        made.set(is::operation_pointwise_b, tensor(graph, operation.other));
      made.finalize();
      operations_.push_back(std::move(made));
      return;
    }
    auto& convolution = parts_.emplace_back(*api_, is::convolution_descriptor);
    using pair = std::array<std::int64_t, 2>;
    convolution.set(is::convolution_compute_type, is::type_data_type, is::data_float)
        .set(is::convolution_mode, is::type_convolution_mode, is::cross_correlation)
        .set(is::convolution_spatial_dimensions, is::type_int64, std::int64_t{2})
        .set(is::convolution_dilations, is::type_int64, pair{graph.dilation, graph.dilation})
        .set(is::convolution_strides, is::type_int64, pair{graph.stride, graph.stride})
        .set(is::convolution_pre_paddings, is::type_int64, pair{0, 0})
        .set(is::convolution_post_paddings, is::type_int64, pair{0, 0})
        .finalize();
    auto const names = names_of(operation.step);
    cudnn_descriptor made{*api_, names.type};
    made.set(names.alpha, is::type_float, 1.0F)
        .set(names.beta, is::type_float, 0.0F)
        .set(names.convolution, convolution)
        .set(names.x, tensor(graph, operation.x))
        .set(names.other, tensor(graph, operation.other))
        .set(names.y, tensor(graph, operation.y))
        .finalize();
    operations_.push_back(std::move(made));
  }

  cudnn_api const* api_;
  std::vector<cudnn_descriptor> tensors_;
  std::vector<cudnn_descriptor> parts_;
  std::vector<cudnn_descriptor> operations_;
  cudnn_descriptor whole_;
};

/// Numerical notes of the engine behind a configuration.
[[nodiscard]] inline std::vector<int> engine_notes(cudnn_api const& api,
                                                   cudnn_descriptor const& configuration) {
  cudnn_descriptor const engine{api, cudnn_constant::engine_descriptor};
  std::array<void*, 1> handle{engine.get()};
  configuration.read(cudnn_constant::configuration_engine, cudnn_constant::type_descriptor,
                     std::span<void*>{handle});
  std::vector<int> notes(cudnn_constant::note_count);
  auto const count = engine.read(cudnn_constant::engine_numerical_note,
                                 cudnn_constant::type_numerical_note, std::span<int>{notes});
  notes.resize(static_cast<std::size_t>(count));
  return notes;
}

/// Plan that is ready to run.
class cudnn_plan {
 public:
  cudnn_plan(cudnn_api const& api, cudnn_descriptor ready) : api_{&api}, ready_{std::move(ready)} {
    std::array<std::int64_t, 1> bytes{};
    ready_.read(cudnn_constant::plan_workspace_size, cudnn_constant::type_int64,
                std::span<std::int64_t>{bytes});
    workspace_bytes_ = static_cast<std::size_t>(bytes[0]);
  }
  [[nodiscard]] std::size_t workspace_bytes() const { return workspace_bytes_; }
  /// The plan as text that cuDNN can read again.
  [[nodiscard]] std::string json() const {
    auto const size = ready_.count(cudnn_constant::plan_json, cudnn_constant::type_char);
    std::string text(static_cast<std::size_t>(size), '\0');
    ready_.read(cudnn_constant::plan_json, cudnn_constant::type_char, std::span<char>{text});
    while (!text.empty() && text.back() == '\0') text.pop_back();
    return text;
  }

  /// Queues the plan's work; `tensors` are pairs of name and address of all that are not virtual.
  template <std::size_t N>
  void run(cudnn_handle::library* library,
           std::array<std::pair<std::int64_t, void const*>, N> const& tensors,
           void* workspace) const {
    namespace is = cudnn_constant;
    std::array<std::int64_t, N> names{};
    std::array<void*, N> addresses{};
    for (std::size_t i = 0; i < N; ++i) {
      names[i] = tensors[i].first;
      addresses[i] = const_cast<void*>(tensors[i].second);  // the interface has no const
    }
    cudnn_descriptor pack{*api_, is::variant_pack_descriptor};
    pack.set(is::variant_pack_unique_ids, is::type_int64, names)
        .set(is::variant_pack_pointers, is::type_pointer, addresses)
        .set(is::variant_pack_workspace, is::type_pointer, workspace)
        .finalize();
    check(*api_, api_->execute(library, ready_.get(), pack.get()), "cudnnBackendExecute");
  }

 private:
  cudnn_api const* api_;
  cudnn_descriptor ready_;
  std::size_t workspace_bytes_ = 0;
};

/// Takes the heuristics' first engine that is allowed, builds, and needs no more workspace than
/// `workspace_limit`; nothing is measured. Empty when there is none.
[[nodiscard]] inline std::optional<cudnn_plan> find_plan(cudnn_api const& api,
                                                         cudnn_descriptor const& device,
                                                         cudnn_graph const& graph,
                                                         gpu_precision precision,
                                                         std::size_t workspace_limit) {
  namespace is = cudnn_constant;
  cudnn_graph_descriptors const described{api, graph};
  bool const forward = graph.operations.front().step == cudnn_step::forward;
  for (int const mode : {is::heuristics_a, is::heuristics_fallback}) {
    cudnn_descriptor heuristic{api, is::heuristic_descriptor};
    heuristic.set(is::heuristic_graph, described.whole())
        .set(is::heuristic_mode, is::type_heuristic_mode, mode)
        .set(is::heuristic_device, device);
    if (heuristic.try_finalize() != is::success) continue;  // no engine for such a graph
    auto const count = heuristic.count(is::heuristic_results, is::type_descriptor);
    std::vector<cudnn_descriptor> configurations;
    std::vector<void*> handles;
    for (std::int64_t i = 0; i < count; ++i)
      handles.push_back(
          configurations.emplace_back(api, is::engine_configuration_descriptor).get());
    auto const found =
        heuristic.read(is::heuristic_results, is::type_descriptor, std::span<void*>{handles});
    for (std::int64_t i = 0; i < found; ++i) {
      auto const& configuration = configurations[static_cast<std::size_t>(i)];
      if (!engine_is_allowed(engine_notes(api, configuration), precision, forward)) continue;
      cudnn_descriptor plan{api, is::plan_descriptor};
      plan.set(is::plan_configuration, configuration).set(is::plan_device, device);
      if (plan.try_finalize() != is::success) continue;  // not on this device
      cudnn_plan ready{api, std::move(plan)};
      if (ready.workspace_bytes() <= workspace_limit) return ready;
    }
  }
  return std::nullopt;
}

/// A plan from the text of an earlier one; empty when cuDNN no longer takes it.
[[nodiscard]] inline std::optional<cudnn_plan> restore_plan(cudnn_api const& api,
                                                            cudnn_descriptor const& device,
                                                            std::string const& json) {
  namespace is = cudnn_constant;
  try {
    cudnn_descriptor plan{api, is::plan_descriptor};
    plan.set(is::plan_device, device)
        .set(is::plan_json, is::type_char, std::span<char const>{json.c_str(), json.size() + 1})
        .finalize();
    return cudnn_plan{api, std::move(plan)};
  } catch (device_error const&) {
    return std::nullopt;
  }
}

/// Plans on disk: one file per key, named after the key's hash, with the key in its first line. An
/// empty folder keeps none. A cache that cannot be read or written only costs time.
class plan_store {
 public:
  plan_store() = default;
  explicit plan_store(std::filesystem::path folder) : folder_{std::move(folder)} {}

  [[nodiscard]] std::optional<std::string> read(std::string const& key) const {
    if (folder_.empty()) return std::nullopt;
    std::ifstream file{path_of(key), std::ios::binary};
    std::string first;
    if (!std::getline(file, first) || first != key) return std::nullopt;
    std::string const rest{std::istreambuf_iterator<char>{file}, {}};
    return rest;
  }
  /// True when the plan is on disk afterwards.
  bool write(std::string const& key, std::string const& json) const {
    if (folder_.empty()) return false;
    std::error_code failed;
    std::filesystem::create_directories(folder_, failed);
    auto const path = path_of(key);
    auto unfinished = path;
    unfinished += ".part" + std::to_string(reinterpret_cast<std::uintptr_t>(&key));
    {
      std::ofstream file{unfinished, std::ios::binary};
      file << key << '\n' << json;
      if (!file.flush()) failed = std::make_error_code(std::errc::io_error);
    }
    if (!failed) std::filesystem::rename(unfinished, path, failed);
    if (!failed) return true;
    std::error_code ignored;
    std::filesystem::remove(unfinished, ignored);
    return false;
  }
  [[nodiscard]] std::filesystem::path path_of(std::string const& key) const {
    return folder_ / ("plan-" + hex(septum::fnv1a(std::string_view{key})) + ".json");
  }

 private:
  static std::string hex(std::uint64_t value) {
    std::string text(16, '0');
    for (std::size_t i = 16; i-- > 0; value >>= 4) text[i] = "0123456789abcdef"[value & 15U];
    return text;
  }
  std::filesystem::path folder_;
};

}  // namespace septum::inline SEPTUM_ABI::detail
