#pragma once
#include <septum/backend/detail/host_convolution.hpp>
#include <septum/backend/detail/host_winograd.hpp>
#include <septum/backend/problem.hpp>
#include <septum/exec/buffer.hpp>

#include <cstddef>
#include <span>

namespace septum::inline SEPTUM_ABI::detail {

/// A convolution by our own kernels, direct or Winograd, where the processor has their
/// instructions. What the host backends share. Runs without allocating.
struct host_inference {
  bool available = false;
  bool winograd = false;

  struct packed {
    direct_weights direct;      // one of the two
    winograd_weights winograd;  //
  };

  host_inference() = default;
  explicit host_inference(layer_problem const& problem)
      : available{has_direct_convolution()}, winograd{available && uses_winograd(problem)} {}

  [[nodiscard]] std::size_t scratch_bytes(layer_problem const& problem,
                                          exec::threads threads) const {
    return winograd ? winograd_scratch_bytes(problem, threads) : 0;
  }
  [[nodiscard]] packed pack(layer_problem const& problem, std::span<float const> parameters) const {
    if (winograd) return {{}, winograd_weights{problem, parameters}};
    return {direct_weights{problem, parameters}, {}};
  }
  void forward(exec::threads threads, layer_problem const& problem, packed const& w,
               buffer<std::byte>& scratch, view<float const, 4> x, view<float, 4> y) const {
    if (!winograd) return direct_convolve(threads, problem, w.direct, x, y);
    scratch.reserve(scratch_bytes(problem, threads));
    winograd_convolve(threads, problem, w.winograd, reinterpret_cast<float*>(scratch.data()), x, y);
  }
  /// Rows and columns of output that a call's first row and column must be a multiple of.
  [[nodiscard]] static int grid(layer_problem const& problem) {
    return uses_winograd(problem) ? winograd_grid(problem) : 1;
  }
};

}  // namespace septum::inline SEPTUM_ABI::detail
