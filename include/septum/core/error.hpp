#pragma once
#include <septum/core/config.hpp>

#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace septum::inline SEPTUM_ABI {

/// Source location of a call; clang 14 has no std::source_location.
struct where {
  char const* file = "";
  int line = 0;
  char const* function = "";
  static constexpr where here(char const* file = __builtin_FILE(), int line = __builtin_LINE(),
                              char const* function = __builtin_FUNCTION()) {
    return {file, line, function};
  }
};

/// What kind of thing went wrong; the values are the exit codes of the program.
enum class fault {
  input = 3,     ///< a file or an argument has wrong content
  resource = 4,  ///< disk, memory, permission or device
  locked = 5,    ///< another process owns the output
  internal = 70  ///< a broken promise of the library itself
};

/// Root of all exceptions thrown by septum. `what()` is one line:
/// `[septum.<group>.<n>] <context>: <message>`; the identifier is stable and listed in
/// docs/errors.md.
class error : public std::exception {
 public:
  /// @param id       stable identifier, e.g. "septum.io.3"
  /// @param message  what was found, what would have been valid, and what to do
  error(std::string id, std::string message, fault kind = fault::input, where at = where::here())
      : id_{std::move(id)}, message_{std::move(message)}, kind_{kind}, at_{at} {
    compose();
  }

  [[nodiscard]] char const* what() const noexcept override { return what_.c_str(); }
  [[nodiscard]] std::string const& id() const noexcept { return id_; }
  /// The text without the identifier, outermost context first.
  [[nodiscard]] std::string const& message() const noexcept { return message_; }
  [[nodiscard]] fault kind() const noexcept { return kind_; }
  [[nodiscard]] where const& at() const noexcept { return at_; }

  /// Puts context in front of the message while unwinding: `catch (error& e) { e.add_note("frame
  /// 17"); throw; }`.
  void add_note(std::string_view note) {
    message_ = std::string{note} + ": " + message_;
    compose();
  }

 private:
  void compose() { what_ = "[" + id_ + "] " + message_; }

  std::string id_;
  std::string message_;
  std::string what_;
  fault kind_;
  where at_;
};

/// Extents that do not fit together: image, patch, channels, views.
class shape_error : public error {
 public:
  using error::error;
};
/// Parameters that belong to another net, or are incomplete or not finite.
class weights_error : public error {
 public:
  using error::error;
};
/// A file that cannot be read, understood or written.
class io_error : public error {
 public:
  using error::error;
};
/// A device or vendor library call that failed.
class device_error : public error {
 public:
  using error::error;
};
/// A valid request that this build or this format cannot serve, or an argument out of its range.
class unsupported_error : public error {
 public:
  using error::error;
};
/// The caller asked to stop (a signal, a cancelled job); thrown from polling points of long loops.
class interrupted_error : public error {
 public:
  using error::error;
};

}  // namespace septum::inline SEPTUM_ABI
