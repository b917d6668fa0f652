#pragma once
#include <septum/backend/detail/cudnn_api.hpp>
#include <septum/core/half.hpp>

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host_device.hpp"

/// cuDNN's graph interface on a host_device: descriptors are checked as strictly as cuDNN's
/// documentation says, and a plan interprets its graph (convolutions, add, relu) in double.
class host_cudnn {
  struct descriptor;

 public:
  /// What the heuristics offer, best first.
  struct engine {
    std::vector<int> notes;
    std::int64_t workspace = 0;
    bool builds = true;
  };

  explicit host_cudnn(host_device& device) : device_{&device} { current() = this; }
  ~host_cudnn() { current() = nullptr; }
  host_cudnn(host_cudnn const&) = delete;
  host_cudnn& operator=(host_cudnn const&) = delete;

  std::vector<engine> engines{{{}, 1000, true}};  ///< of heuristic mode A
  std::vector<engine> fallback_engines{};
  bool takes_pointwise = true;  ///< false: no engine for fused graphs
  bool takes_gradients = true;  ///< false: no engine for backward passes
  std::size_t version = 91900;
  int descriptors = 0;  ///< alive
  int libraries = 0;    ///< alive
  int heuristic_queries = 0;
  std::vector<std::int64_t> workspaces;  ///< of the plans that ran

  [[nodiscard]] static septum::detail::cudnn_api api() {
    septum::detail::cudnn_api table;
    table.get_version = [] { return self().version; };
    table.get_error_string = [](int status) {
      return status == 3000 ? "not supported" : status == 0 ? "success" : "bad parameter";
    };
    table.get_last_error_string = [](char* text, std::size_t size) {
      std::strncpy(text, self().said_.c_str(), size - 1);
      text[size - 1] = '\0';
    };
    table.create = [](septum::detail::cudnn_handle::library** handle) {
      return guarded([&](host_cudnn& c) {
        ++c.libraries;
        *handle = reinterpret_cast<septum::detail::cudnn_handle::library*>(&c);
        return 0;
      });
    };
    table.destroy = [](septum::detail::cudnn_handle::library*) {
      --self().libraries;
      return 0;
    };
    table.set_stream = [](septum::detail::cudnn_handle::library*,
                          septum::cuda_handle::stream* stream) {
      return guarded([&](host_cudnn& c) {
        c.stream_ = stream;
        return 0;
      });
    };
    table.create_descriptor = [](int type, void** handle) {
      return guarded([&](host_cudnn& c) {
        auto const made = std::make_shared<descriptor>();
        made->type = type;
        *handle = new std::shared_ptr<descriptor>{made};
        ++c.descriptors;
        return 0;
      });
    };
    table.destroy_descriptor = [](void* handle) {
      --self().descriptors;
      delete static_cast<std::shared_ptr<descriptor>*>(handle);
      return 0;
    };
    table.set_attribute = [](void* handle, int name, int type, std::int64_t count,
                             void const* values) {
      return guarded([&](host_cudnn& c) { return c.set(of(handle), name, type, count, values); });
    };
    table.get_attribute = [](void* handle, int name, int, std::int64_t requested,
                             std::int64_t* count, void* values) {
      return guarded(
          [&](host_cudnn& c) { return c.get(of(handle), name, requested, count, values); });
    };
    table.finalize = [](void* handle) {
      return guarded([&](host_cudnn& c) { return c.finalize(of(handle)); });
    };
    table.execute = [](septum::detail::cudnn_handle::library*, void* plan, void* pack) {
      return guarded([&](host_cudnn& c) { return c.execute(of(plan), of(pack)); });
    };
    return table;
  }

 private:
  struct descriptor {
    int type = 0;
    bool finalized = false;
    std::map<int, std::vector<char>> values;
    std::map<int, std::vector<std::shared_ptr<descriptor>>> others;
    engine own;  // of engines, configurations and plans

    template <class T>
    [[nodiscard]] std::vector<T> list(int name) const {
      auto const found = values.find(name);
      std::vector<T> result(found == values.end() ? 0 : found->second.size() / sizeof(T));
      if (!result.empty()) std::memcpy(result.data(), found->second.data(), found->second.size());
      return result;
    }
    template <class T>
    [[nodiscard]] T value(int name) const {
      return list<T>(name).at(0);
    }
    [[nodiscard]] descriptor const& other(int name) const { return *others.at(name).at(0); }
  };
  using shared = std::shared_ptr<descriptor>;
  using list4 = std::array<std::int64_t, 4>;

  static host_cudnn*& current() {
    static host_cudnn* library = nullptr;
    return library;
  }
  static host_cudnn& self() { return *current(); }
  template <class Call>
  static int guarded(Call const& call) {
    auto& c = self();
    auto const locked = c.device_->turn();
    if (!c.device_->survives()) {
      c.said_ = "made to fail";
      return 4000;
    }
    return call(c);
  }
  static shared const& of(void* handle) { return *static_cast<shared*>(handle); }
  int refuse(std::string why, int status = 2000) {
    said_ = std::move(why);
    return status;
  }

  static std::size_t size_of(int type) {
    namespace is = septum::detail::cudnn_constant;
    switch (type) {
      case is::type_boolean:
      case is::type_char:
        return 1;
      case is::type_int64:
      case is::type_pointer:
        return 8;
      default:
        return 4;
    }
  }

  int set(shared const& d, int name, int type, std::int64_t count, void const* values) {
    namespace is = septum::detail::cudnn_constant;
    if (d->finalized) return refuse("an attribute is set after finalize");
    if (type == is::type_descriptor) {
      auto& list = d->others[name];
      for (std::int64_t i = 0; i < count; ++i) {
        list.push_back(of(static_cast<void* const*>(values)[i]));
        if (!list.back()->finalized) return refuse("a descriptor that is not finalized");
      }
      return 0;
    }
    auto const* const bytes = static_cast<char const*>(values);
    d->values[name].assign(bytes, bytes + static_cast<std::size_t>(count) * size_of(type));
    return 0;
  }

  int get(shared const& d, int name, std::int64_t requested, std::int64_t* count, void* values) {
    namespace is = septum::detail::cudnn_constant;
    if (name == is::heuristic_results) {
      auto const& all = d->others[name];
      *count = static_cast<std::int64_t>(all.size());
      for (std::int64_t i = 0; i < std::min(requested, *count); ++i)
        *of(static_cast<void**>(values)[i]) = *all[static_cast<std::size_t>(i)];
      return 0;
    }
    if (name == is::configuration_engine) {
      auto const& found = of(*static_cast<void**>(values));
      found->own = d->own;
      found->finalized = true;
      *count = 1;
      return 0;
    }
    if (name == is::engine_numerical_note) {
      *count = static_cast<std::int64_t>(d->own.notes.size());
      std::copy(d->own.notes.begin(), d->own.notes.end(), static_cast<int*>(values));
      return 0;
    }
    if (!d->finalized) return refuse("an attribute is read before finalize");
    std::string text;
    if (name == is::plan_workspace_size) {
      *count = 1;
      *static_cast<std::int64_t*>(values) = d->own.workspace;
      return 0;
    }
    if (name == is::plan_json) text = d->values.at(is::plan_json).data();
    if (name == is::device_json) text = "{\"device\": \"of the host\"}";
    *count = static_cast<std::int64_t>(text.size() + 1);
    if (requested >= *count) std::memcpy(values, text.c_str(), text.size() + 1);
    return 0;
  }

  int finalize(shared const& d) {
    namespace is = septum::detail::cudnn_constant;
    if (d->finalized) return refuse("finalized twice");
    int status = 0;
    switch (d->type) {
      case is::tensor_descriptor:
        status = check_tensor(*d);
        break;
      case is::convolution_descriptor:
        for (int const name :
             {is::convolution_compute_type, is::convolution_mode, is::convolution_dilations,
              is::convolution_strides, is::convolution_post_paddings, is::convolution_pre_paddings,
              is::convolution_spatial_dimensions})
          if (d->values.count(name) == 0) status = refuse("a convolution lacks an attribute");
        break;
      case is::convolution_forward_descriptor:
        status =
            check_shapes(*d, is::forward_convolution, is::forward_x, is::forward_w, is::forward_y);
        break;
      case is::convolution_backward_data_descriptor:
        status = check_shapes(*d, is::backward_data_convolution, is::backward_data_dx,
                              is::backward_data_w, is::backward_data_dy);
        break;
      case is::convolution_backward_filter_descriptor:
        status = check_shapes(*d, is::backward_filter_convolution, is::backward_filter_x,
                              is::backward_filter_dw, is::backward_filter_dy);
        break;
      case is::graph_descriptor:
        if (d->others.count(is::graph_operations) == 0) status = refuse("a graph of nothing");
        break;
      case is::heuristic_descriptor:
        status = run_heuristic(*d);
        break;
      case is::plan_descriptor:
        status = finish_plan(*d);
        break;
      default:
        break;
    }
    if (status == 0) d->finalized = true;
    return status;
  }

  int check_tensor(descriptor const& d) {
    namespace is = septum::detail::cudnn_constant;
    for (int const name : {is::tensor_data_type, is::tensor_dimensions, is::tensor_strides,
                           is::tensor_unique_id, is::tensor_alignment})
      if (d.values.count(name) == 0) return refuse("a tensor lacks an attribute");
    for (auto const extent : d.list<std::int64_t>(is::tensor_dimensions))
      if (extent <= 0) return refuse("a tensor without extent");
    return 0;
  }
  static list4 extents(descriptor const& tensor) {
    auto const all = tensor.list<std::int64_t>(septum::detail::cudnn_constant::tensor_dimensions);
    return {all.at(0), all.at(1), all.at(2), all.at(3)};
  }
  int check_shapes(descriptor const& d, int convolution, int x, int w, int y) {
    namespace is = septum::detail::cudnn_constant;
    auto const& how = d.other(convolution);
    auto const in = extents(d.other(x));
    auto const window = extents(d.other(w));
    auto const out = extents(d.other(y));
    auto const dilations = how.list<std::int64_t>(is::convolution_dilations);
    auto const strides = how.list<std::int64_t>(is::convolution_strides);
    bool fits = in[0] == out[0] && in[1] == window[1] && out[1] == window[0];
    for (std::size_t axis = 0; axis < 2; ++axis)
      fits = fits &&
             out[2 + axis] ==
                 (in[2 + axis] - dilations[axis] * (window[2 + axis] - 1) - 1) / strides[axis] + 1;
    return fits ? 0 : refuse("shapes of a convolution that do not fit");
  }

  int run_heuristic(descriptor& d) {
    namespace is = septum::detail::cudnn_constant;
    ++heuristic_queries;
    auto const& graph = d.other(is::heuristic_graph);
    auto const& operations = graph.others.at(is::graph_operations);
    bool const fused = operations.size() > 1;
    bool const gradient = operations[0]->type != is::convolution_forward_descriptor;
    if ((fused && !takes_pointwise) || (gradient && !takes_gradients))
      return refuse("no engine for such a graph", 3000);
    auto const& all =
        d.value<int>(is::heuristic_mode) == is::heuristics_a ? engines : fallback_engines;
    for (auto const& each : all) {
      auto const configuration = std::make_shared<descriptor>();
      configuration->type = is::engine_configuration_descriptor;
      configuration->finalized = true;
      configuration->own = each;
      configuration->others[is::heuristic_graph] = {d.others.at(is::heuristic_graph)[0]};
      d.others[is::heuristic_results].push_back(configuration);
    }
    return 0;
  }

  int finish_plan(descriptor& d) {
    namespace is = septum::detail::cudnn_constant;
    if (d.others.count(is::plan_device) == 0) return refuse("a plan without device");
    if (d.values.count(is::plan_json) != 0) {
      auto const known = written_.find(d.values.at(is::plan_json).data());
      if (known == written_.end()) return refuse("text that is no plan");
      d.own = known->second.own;
      d.others[is::heuristic_graph] = known->second.others.at(is::heuristic_graph);
      return 0;
    }
    auto const& configuration = d.other(is::plan_configuration);
    if (!configuration.own.builds) return refuse("the engine does not build", 3000);
    d.own = configuration.own;
    d.others[is::heuristic_graph] = configuration.others.at(is::heuristic_graph);
    std::string const text = "plan " + std::to_string(written_.size());
    d.values[is::plan_json].assign(text.c_str(), text.c_str() + text.size() + 1);
    written_[text] = d;
    return 0;
  }

  // Values of one tensor while a graph is interpreted.
  struct map {
    list4 extents{};
    list4 strides{};
    std::vector<double> values;
    double& at(std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
      return values[static_cast<std::size_t>(a * strides[0] + b * strides[1] + c * strides[2] +
                                             d * strides[3])];
    }
  };
  struct bound {
    int type = 0;
    char* data = nullptr;
  };

  int execute(shared const& plan, shared const& pack) {
    namespace is = septum::detail::cudnn_constant;
    if (!plan->finalized || !pack->finalized) return refuse("not finalized");
    auto const names = pack->list<std::int64_t>(is::variant_pack_unique_ids);
    auto const addresses = pack->list<char*>(is::variant_pack_pointers);
    std::map<std::int64_t, char*> addresses_of;
    for (std::size_t i = 0; i < names.size(); ++i) addresses_of[names[i]] = addresses.at(i);
    auto* const workspace = pack->value<char*>(is::variant_pack_workspace);
    if (!device_->is_device_memory(workspace, static_cast<std::size_t>(plan->own.workspace)))
      device_->faults.push_back("a plan runs with too little workspace");
    workspaces.push_back(plan->own.workspace);
    auto const graph = plan->others.at(is::heuristic_graph)[0];
    for (auto const& operation : graph->others.at(is::graph_operations))
      for (auto const& [name, tensors] : operation->others) {
        auto const& tensor = *tensors[0];
        if (tensor.type != is::tensor_descriptor) continue;
        auto const id = tensor.value<std::int64_t>(is::tensor_unique_id);
        bool const given = addresses_of.count(id) != 0;
        if (given == is_virtual(tensor)) return refuse("the variant pack is not the graph's");
        if (!given) continue;
        auto const bytes = size(tensor) * element_bytes(tensor);
        if (!device_->is_device_memory(addresses_of[id], bytes))
          device_->faults.push_back("a tensor outside device memory");
        if (reinterpret_cast<std::uintptr_t>(addresses_of[id]) %
                static_cast<std::uintptr_t>(tensor.value<std::int64_t>(is::tensor_alignment)) !=
            0)
          device_->faults.push_back("a tensor less aligned than its descriptor says");
      }
    auto const spoil = static_cast<std::size_t>(plan->own.workspace);
    device_->enqueue(stream_, [graph, addresses_of, workspace, spoil] {
      std::memset(workspace, 0xA5, spoil);
      interpret(*graph, addresses_of);
    });
    return 0;
  }

  static bool is_virtual(descriptor const& tensor) {
    return tensor.value<char>(septum::detail::cudnn_constant::tensor_is_virtual) != 0;
  }
  static std::size_t element_bytes(descriptor const& tensor) {
    return tensor.value<int>(septum::detail::cudnn_constant::tensor_data_type) ==
                   septum::detail::cudnn_constant::data_float
               ? 4
               : 2;
  }
  static std::size_t size(descriptor const& tensor) {
    auto const all = extents(tensor);
    return static_cast<std::size_t>(all[0] * all[1] * all[2] * all[3]);
  }

  static void interpret(descriptor const& graph, std::map<std::int64_t, char*> const& addresses) {
    namespace is = septum::detail::cudnn_constant;
    std::map<std::int64_t, map> maps;
    auto const load = [&](descriptor const& tensor) -> map& {
      auto const id = tensor.value<std::int64_t>(is::tensor_unique_id);
      auto const [found, is_new] = maps.try_emplace(id);
      if (!is_new) return found->second;
      auto& made = found->second;
      made.extents = extents(tensor);
      auto const strides = tensor.list<std::int64_t>(is::tensor_strides);
      made.strides = {strides[0], strides[1], strides[2], strides[3]};
      made.values.assign(size(tensor), 0.0);
      if (addresses.count(id) != 0)
        for (std::size_t i = 0; i < made.values.size(); ++i)
          made.values[i] = read(addresses.at(id), tensor.value<int>(is::tensor_data_type), i);
      return made;
    };
    auto const save = [&](descriptor const& tensor) {
      auto const id = tensor.value<std::int64_t>(is::tensor_unique_id);
      if (addresses.count(id) == 0) return;
      auto const& values = maps.at(id).values;
      for (std::size_t i = 0; i < values.size(); ++i)
        write(addresses.at(id), tensor.value<int>(is::tensor_data_type), i, values[i]);
    };
    for (auto const& operation : graph.others.at(is::graph_operations)) {
      auto const& d = *operation;
      if (d.type == is::operation_pointwise_descriptor) {
        pointwise(d, load(d.other(is::operation_pointwise_x)),
                  d.others.count(is::operation_pointwise_b) != 0
                      ? &load(d.other(is::operation_pointwise_b))
                      : nullptr,
                  load(d.other(is::operation_pointwise_y)));
        save(d.other(is::operation_pointwise_y));
      } else if (d.type == is::convolution_forward_descriptor) {
        convolve(d.other(is::forward_convolution), load(d.other(is::forward_x)),
                 load(d.other(is::forward_w)), load(d.other(is::forward_y)), 0);
        save(d.other(is::forward_y));
      } else if (d.type == is::convolution_backward_data_descriptor) {
        auto& dx = load(d.other(is::backward_data_dx));
        std::fill(dx.values.begin(), dx.values.end(), 0.0);
        convolve(d.other(is::backward_data_convolution), dx, load(d.other(is::backward_data_w)),
                 load(d.other(is::backward_data_dy)), 1);
        save(d.other(is::backward_data_dx));
      } else {
        auto& dw = load(d.other(is::backward_filter_dw));
        std::fill(dw.values.begin(), dw.values.end(), 0.0);
        convolve(d.other(is::backward_filter_convolution), load(d.other(is::backward_filter_x)), dw,
                 load(d.other(is::backward_filter_dy)), 2);
        save(d.other(is::backward_filter_dw));
      }
    }
  }

  static void pointwise(descriptor const& d, map& x, map* b, map& y) {
    namespace is = septum::detail::cudnn_constant;
    bool const add =
        d.other(is::operation_pointwise).value<int>(is::pointwise_mode) == is::pointwise_add;
    for (std::int64_t n = 0; n < y.extents[0]; ++n)
      for (std::int64_t c = 0; c < y.extents[1]; ++c)
        for (std::int64_t h = 0; h < y.extents[2]; ++h)
          for (std::int64_t w = 0; w < y.extents[3]; ++w)
            y.at(n, c, h, w) =
                add ? x.at(n, c, h, w) + b->at(0, c, 0, 0) : std::max(x.at(n, c, h, w), 0.0);
  }

  // pass 0: y from x and w; 1: x from y and w; 2: w from x and y.
  static void convolve(descriptor const& how, map& x, map& w, map& y, int pass) {
    namespace is = septum::detail::cudnn_constant;
    auto const dilation = how.list<std::int64_t>(is::convolution_dilations)[0];
    auto const stride = how.list<std::int64_t>(is::convolution_strides)[0];
    for (std::int64_t n = 0; n < y.extents[0]; ++n)
      for (std::int64_t f = 0; f < y.extents[1]; ++f)
        for (std::int64_t r = 0; r < y.extents[2]; ++r)
          for (std::int64_t c = 0; c < y.extents[3]; ++c) {
            double& out = y.at(n, f, r, c);
            if (pass == 0) out = 0.0;
            for (std::int64_t k = 0; k < w.extents[1]; ++k)
              for (std::int64_t i = 0; i < w.extents[2]; ++i)
                for (std::int64_t j = 0; j < w.extents[3]; ++j) {
                  double& in = x.at(n, k, r * stride + i * dilation, c * stride + j * dilation);
                  double& weight = w.at(f, k, i, j);
                  if (pass == 0) out += in * weight;
                  if (pass == 1) in += out * weight;
                  if (pass == 2) weight += out * in;
                }
          }
  }

  template <class T>
  static double read_as(char const* data, std::size_t i) {
    T value;
    std::memcpy(&value, data + i * sizeof(T), sizeof(T));
    return static_cast<double>(static_cast<float>(value));
  }
  static double read(char const* data, int type, std::size_t i) {
    namespace is = septum::detail::cudnn_constant;
    if (type == is::data_half) return read_as<septum::float16>(data, i);
    if (type == is::data_bfloat16) return read_as<septum::bfloat16>(data, i);
    return read_as<float>(data, i);
  }
  template <class T>
  static void write_as(char* data, std::size_t i, double value) {
    auto const stored = static_cast<T>(static_cast<float>(value));
    std::memcpy(data + i * sizeof(T), &stored, sizeof(T));
  }
  static void write(char* data, int type, std::size_t i, double value) {
    namespace is = septum::detail::cudnn_constant;
    if (type == is::data_half) return write_as<septum::float16>(data, i, value);
    if (type == is::data_bfloat16) return write_as<septum::bfloat16>(data, i, value);
    write_as<float>(data, i, value);
  }

  host_device* device_;
  septum::cuda_handle::stream* stream_ = nullptr;
  std::string said_;
  std::map<std::string, descriptor> written_;
};
