#pragma once
#include <septum/core/error.hpp>
#include <septum/net/layer_executor.hpp>

#include <cstddef>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI::detail {

/// Which scalar the maps of a net have, and with it which kernel runs a layer.
template <class T>
class map_scalars {
 public:
  map_scalars() = default;
  /// Maps between two layers that can have them in bfloat16 do; the net's input and result do not.
  /// @throws unsupported_error when a net is to hold maps in bfloat16 and has no kernel for it
  map_scalars(std::span<layer_entry<T> const> layers, std::span<layer_problem const> problems,
              host_precision precision)
      : scalars_(layers.size() + 1, map_scalar_v<T>) {
    if (precision == host_precision::f32) return;
    std::vector<bool> takes(layers.size());
    bool any = false;
    for (std::size_t k = 0; k < layers.size(); ++k) {
      takes[k] = layers[k].reduced && layers[k].reduced->takes_bfloat16(problems[k]);
      any = any || takes[k];
    }
    SEPTUM_EXPECTS(any, unsupported_error("septum.net.11",
                                          "this backend has no kernels for bfloat16; use float, or "
                                          "the backend eigen or onednn"));
    for (std::size_t k = 0; k + 1 < layers.size(); ++k)
      if ((takes[k] || writes(layers[k])) && takes[k + 1]) scalars_[k + 1] = map_scalar::bf16;
    // A layer that does not convert has one scalar on both sides.
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t k = 0; k < layers.size(); ++k)
        if (!writes(layers[k]) && scalars_[k] != scalars_[k + 1]) {
          scalars_[k] = scalars_[k + 1] = map_scalar_v<T>;
          changed = true;
        }
    }
  }

  [[nodiscard]] bool empty() const { return scalars_.empty(); }
  [[nodiscard]] map_scalar in(std::size_t layer) const { return scalars_[layer]; }
  [[nodiscard]] map_scalar out(std::size_t layer) const { return scalars_[layer + 1]; }
  [[nodiscard]] bool is_reduced(std::size_t layer) const {
    return in(layer) == map_scalar::bf16 || out(layer) == map_scalar::bf16;
  }
  /// The kernel that runs a layer.
  [[nodiscard]] layer_executor<T>& executor(std::span<layer_entry<T> const> layers,
                                            std::size_t k) const {
    return is_reduced(k) ? *layers[k].reduced : *layers[k].executor;
  }

 private:
  static bool writes(layer_entry<T> const& layer) {
    return layer.reduced && layer.reduced->converts();
  }
  std::vector<map_scalar> scalars_;
};

}  // namespace septum::inline SEPTUM_ABI::detail
