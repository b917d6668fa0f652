#pragma once
#include <septum/core/config.hpp>

#include <dlfcn.h>

#include <span>
#include <string>
#include <utility>

namespace septum::inline SEPTUM_ABI::detail {

/// A library of the system, opened at run time, so that a program starts without it.
class shared_library {
 public:
  shared_library() = default;
  /// Opens the first of `names` that there is; afterwards `is_open` says whether one was.
  explicit shared_library(std::span<char const* const> names) {
    for (char const* const name : names) {
      handle_ = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
      if (handle_ != nullptr) return;
      char const* const why = ::dlerror();
      if (why != nullptr) why_ = why;
    }
  }
  shared_library(shared_library&& other) noexcept
      : handle_{std::exchange(other.handle_, nullptr)}, why_{std::move(other.why_)} {}
  shared_library& operator=(shared_library&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(why_, other.why_);
    return *this;
  }
  shared_library(shared_library const&) = delete;
  shared_library& operator=(shared_library const&) = delete;
  ~shared_library() {
    if (handle_ != nullptr) ::dlclose(handle_);
  }

  [[nodiscard]] bool is_open() const { return handle_ != nullptr; }
  /// What the loader said when nothing could be opened.
  [[nodiscard]] std::string const& why() const { return why_; }

  /// Sets `function` to the symbol `name`; false when the library lacks it.
  template <class Function>
  [[nodiscard]] bool find(char const* name, Function*& function) const {
    function = reinterpret_cast<Function*>(::dlsym(handle_, name));
    return function != nullptr;
  }

 private:
  void* handle_ = nullptr;
  std::string why_;
};

}  // namespace septum::inline SEPTUM_ABI::detail
