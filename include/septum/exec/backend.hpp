#pragma once
#include <septum/core/diagnose.hpp>
#include <septum/core/view.hpp>
#include <septum/exec/for_each.hpp>

#include <concepts>
#include <string_view>
#include <type_traits>

namespace septum::inline SEPTUM_ABI {

/// A family of kernels: where its memory lives, what it is called, and which backend serves the
/// layers it does not implement (void: none).
template <class B>
concept Backend = requires {
  typename B::memory_space;
  typename B::fallback;
  { B::name } -> std::convertible_to<std::string_view>;
};

/// Owns what a backend needs at run time (handles, streams, scratch) and the number of threads.
/// Belongs to one thread at a time and is passed in, never global. Specialise for backends that
/// need more than the thread count.
template <class B>
struct context {
  exec::threads threads{};
};

/// The implementation of one kind of layer by one backend; declared here, never defined. The
/// members a specialisation has are written down in backend/problem.hpp. A specialisation lives
/// with its backend or with its layer, nowhere else.
template <class B, class Kind, class T>
struct kernel;

/// True where kernel<B, Kind, T> exists.
template <class B, class Kind, class T>
concept Implements = requires {
  sizeof(kernel<B, Kind, T>);
};

/// The backend itself without its fallbacks: a layer it does not implement fails to compile.
template <Backend B>
struct strict {
  using memory_space = typename B::memory_space;
  using fallback = void;
  using backend = B;
  static constexpr std::string_view name = B::name;
};

namespace detail {

template <class B>
struct unwrap_strict {
  using type = B;
};
template <class B>
struct unwrap_strict<strict<B>> {
  using type = B;
};

template <class B, class Kind, class T>
consteval auto resolve_backend() {
  if constexpr (std::is_void_v<B>) {
    return std::type_identity<void>{};
  } else {
    using own = typename unwrap_strict<B>::type;
    if constexpr (Implements<own, Kind, T>) {
      return std::type_identity<own>{};
    } else if constexpr (std::is_void_v<typename B::fallback>) {
      return std::type_identity<void>{};
    } else {
      constexpr bool same =
          std::is_same_v<typename B::memory_space, typename B::fallback::memory_space>;
      static_assert(diagnostic::fallbacks_share_one_memory_space<same, B>::ok);
      return resolve_backend<typename B::fallback, Kind, T>();
    }
  }
}

}  // namespace detail

/// The first backend of B, B::fallback, ... that implements Kind for T; void when none does.
template <class B, class Kind, class T>
using resolved_backend_t = typename decltype(detail::resolve_backend<B, Kind, T>())::type;

/// One context for a backend and each of its fallbacks, all with the same thread count.
template <class B>
class context_chain {
 public:
  explicit context_chain(exec::threads threads = {}) : own_{threads}, rest_{threads} {}

  /// The context of backend R, which is B or one of its fallbacks.
  template <class R>
  [[nodiscard]] context<R>& get() {
    if constexpr (std::is_same_v<R, typename detail::unwrap_strict<B>::type>)
      return own_;
    else
      return rest_.template get<R>();
  }
  [[nodiscard]] exec::threads threads() const { return own_.threads; }

 private:
  context<typename detail::unwrap_strict<B>::type> own_;
  context_chain<typename B::fallback> rest_;
};
template <>
class context_chain<void> {
 public:
  explicit context_chain(exec::threads = {}) {}
};

}  // namespace septum::inline SEPTUM_ABI
