#pragma once
#if defined(__CUDACC__)
#  error \
      "septum: oneDNN's C++ header does not compile under nvcc. FIX: include the oneDNN backend in a .cpp file."
#endif

#include <septum/core/error.hpp>

#include <oneapi/dnnl/dnnl.hpp>

#include <cstddef>
#include <string>
#include <utility>

/// What differs between oneDNN 2 and 3, and how its errors become ours.
namespace septum::inline SEPTUM_ABI::detail {

/// Runs `call` and turns an exception of oneDNN into a device_error that names `what`.
template <class Call>
decltype(auto) checked_onednn(char const* what, Call&& call, where at = where::here()) {
  try {
    return std::forward<Call>(call)();
  } catch (dnnl::error const& failure) {
    auto const kind = failure.status == dnnl_out_of_memory ? fault::resource : fault::internal;
    throw device_error(
        "septum.device.1",
        std::string{"oneDNN could not "} + what + ": status " +
            std::to_string(static_cast<int>(failure.status)) + ", " + failure.what() +
            (kind == fault::resource ? "; use smaller tiles or batches"
                                     : "; use another backend, e.g. --backend eigen"),
        kind, at);
  }
}

/// The processor as oneDNN's engine. It holds no state of a run, but primitives and memory of one
/// engine object do not mix with another's; with one for the program, a plan and its packed
/// parameters run with any context.
inline dnnl::engine const& onednn_engine() {
  static dnnl::engine const engine = checked_onednn("start", [] {
    return dnnl::engine{dnnl::engine::kind::cpu, 0};
  });
  return engine;
}

/// C = op(A) op(B) + beta C for row-major matrices: C is rows x columns without gaps, op(A) rows x
/// depth; `a` and `b` are 'N' (as stored) or 'T' (transposed). A transposed A has `left_stride`
/// values per row, all other matrices have no gaps.
inline void onednn_product(char a, char b, std::ptrdiff_t rows, std::ptrdiff_t columns,
                           std::ptrdiff_t depth, float const* left, std::ptrdiff_t left_stride,
                           float const* right, float beta, float* result) {
  checked_onednn("multiply matrices", [&] {
    dnnl::error::wrap_c_api(
        dnnl_sgemm(a, b, rows, columns, depth, 1.0F, left, a == 'N' ? depth : left_stride, right,
                   b == 'N' ? columns : depth, beta, result, columns),
        "sgemm failed");
  });
}

/// Primitive descriptor of a forward primitive; `arguments` in the order both versions share.
template <class Primitive, class... Arguments>
typename Primitive::primitive_desc describe_forward(dnnl::engine const& engine,
                                                    dnnl::primitive_attr const& attributes,
                                                    Arguments const&... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Primitive::primitive_desc(engine, arguments..., attributes);
#else
  return typename Primitive::primitive_desc(typename Primitive::desc(arguments...), attributes,
                                            engine);
#endif
}

/// Primitive descriptor of a backward primitive; `hint` is the forward one it belongs to.
template <class Primitive, class Hint, class... Arguments>
typename Primitive::primitive_desc describe_backward(dnnl::engine const& engine,
                                                     dnnl::primitive_attr const& attributes,
                                                     Hint const& hint,
                                                     Arguments const&... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Primitive::primitive_desc(engine, arguments..., hint, attributes);
#else
  return typename Primitive::primitive_desc(typename Primitive::desc(arguments...), attributes,
                                            engine, hint);
#endif
}

/// Attributes of a primitive that works in the caller's scratch memory, with relu as an option.
inline dnnl::primitive_attr onednn_attributes(bool relu) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (relu) {
    dnnl::post_ops after;
#if DNNL_VERSION_MAJOR >= 3
    after.append_eltwise(dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
#else
    after.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
#endif
    attributes.set_post_ops(after);
  }
  return attributes;
}

}  // namespace septum::inline SEPTUM_ABI::detail
