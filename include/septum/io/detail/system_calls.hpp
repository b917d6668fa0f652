#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace septum::inline SEPTUM_ABI::io {

/// The calls through which septum changes files.
enum class system_call { open, write, read, sync, sync_folder, close, rename, make_folder, lock };

/// What an observer wants to happen at a call.
struct call_verdict {
  int error = 0;  ///< an errno value: the call fails
  std::size_t at_most = std::numeric_limits<std::size_t>::max();  ///< write at most so many bytes
};

/// While alive, asks `before` ahead of every system call that this thread makes through septum's
/// files: tests make the n-th call fail, or record the order of calls.
class observe_system_calls {
 public:
  using callback = std::function<call_verdict(system_call, std::filesystem::path const&)>;
  explicit observe_system_calls(callback before)
      : before_{std::move(before)}, outer_{std::exchange(current(), this)} {}
  ~observe_system_calls() { current() = outer_; }
  observe_system_calls(observe_system_calls const&) = delete;
  observe_system_calls& operator=(observe_system_calls const&) = delete;

  [[nodiscard]] static call_verdict ask(system_call call, std::filesystem::path const& path) {
    return current() == nullptr ? call_verdict{} : current()->before_(call, path);
  }

 private:
  [[nodiscard]] static observe_system_calls*& current() {
    static thread_local observe_system_calls* observer = nullptr;
    return observer;
  }

  callback before_;
  observe_system_calls* outer_;
};

namespace detail {

namespace fs = std::filesystem;

/// A path as one line of a message shows it.
[[nodiscard]] inline std::string shown(fs::path const& path) {
  return printable(path.native(), 4096);
}

[[nodiscard]] inline std::string system_text(int code) {
  return std::generic_category().message(code);
}

/// A bad name is the caller's mistake; everything else is the machine's state.
[[nodiscard]] inline fault fault_of(int code) {
  switch (code) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
    case EINVAL:
    case EEXIST:
    case ENOTEMPTY:
      return fault::input;
    default:
      return fault::resource;
  }
}

/// Bytes that an ordinary user may still write in the file system of `path`.
[[nodiscard]] inline std::optional<std::uint64_t> free_bytes(fs::path const& path) {
  struct statvfs state {};
  fs::path const folder = path.has_parent_path() ? path.parent_path() : fs::path{"."};
  if (::statvfs(folder.c_str(), &state) != 0) return std::nullopt;
  return static_cast<std::uint64_t>(state.f_bavail) * state.f_frsize;
}

[[noreturn]] inline void throw_no_space(fs::path const& path, std::uint64_t needed,
                                        std::string_view reason) {
  auto const available = free_bytes(path);
  throw io_error{
      "septum.file.2",
      shown(path) + ": writing: expected room for " + to_text(needed) + " more bytes, found " +
          (available ? to_text(*available) + " bytes free" : std::string{"none"}) + " (" +
          std::string{reason} + "); nothing was replaced. Free some space or write elsewhere",
      fault::resource};
}

[[noreturn]] inline void throw_call_failed(fs::path const& path, std::string_view doing, int code,
                                           std::uint64_t needed = 0) {
  if (code == ENOSPC || code == EDQUOT) throw_no_space(path, needed, system_text(code));
  throw io_error{"septum.file.1",
                 shown(path) + ": " + std::string{doing} + ": " + system_text(code),
                 fault_of(code)};
}

/// Repeats a call that a signal interrupted. The observer may fail it instead.
template <class Call>
[[nodiscard]] auto checked_call(system_call kind, fs::path const& path, Call const& call) {
  while (true) {
    using result_type = decltype(call());
    result_type result = -1;
    if (int const injected = observe_system_calls::ask(kind, path).error; injected != 0) {
      errno = injected;
    } else {
      result = call();
    }
    if (result >= 0 || errno != EINTR) return result;
  }
}

/// Owns a file descriptor.
class descriptor {
 public:
  descriptor() = default;
  explicit descriptor(int value) : value_{value} {}
  descriptor(descriptor&& other) noexcept : value_{std::exchange(other.value_, -1)} {}
  descriptor& operator=(descriptor&& other) noexcept {
    if (this != &other) {
      discard();
      value_ = std::exchange(other.value_, -1);
    }
    return *this;
  }
  ~descriptor() { discard(); }

  [[nodiscard]] int get() const { return value_; }
  [[nodiscard]] explicit operator bool() const { return value_ >= 0; }

  /// Closes and reports what the system says, because some file systems report a full disk only
  /// here.
  void close(fs::path const& path) {
    int const value = std::exchange(value_, -1);
    if (value < 0) return;
    int const injected = observe_system_calls::ask(system_call::close, path).error;
    int const code = ::close(value) == 0 ? injected : errno;
    // On Linux the descriptor is gone even when a signal interrupted the call.
    if (code != 0 && code != EINTR) throw_call_failed(path, "closing", code);
  }

 private:
  void discard() noexcept {
    if (value_ >= 0) ::close(value_);
    value_ = -1;
  }

  int value_ = -1;
};

[[nodiscard]] inline descriptor open_file(fs::path const& path, int flags, std::string_view doing) {
  descriptor file{checked_call(system_call::open, path,
                               [&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); })};
  if (!file) throw_call_failed(path, doing, errno);
  return file;
}

/// Writes all of `data` at `offset`, or at the file's own position when `offset` is negative.
inline void write_all(descriptor const& file, fs::path const& shown_path, std::byte const* data,
                      std::size_t size, std::int64_t offset) {
  constexpr std::size_t largest_write = std::size_t{1} << 30U;
  while (size > 0) {
    call_verdict const verdict = observe_system_calls::ask(system_call::write, shown_path);
    std::size_t const part = std::min({size, largest_write, verdict.at_most});
    ::ssize_t written = -1;
    if (verdict.error != 0) {
      errno = verdict.error;
    } else {
      written = offset < 0 ? ::write(file.get(), data, part)
                           : ::pwrite(file.get(), data, part, static_cast<::off_t>(offset));
    }
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_call_failed(shown_path, "writing", errno, size);
    }
    if (written == 0) throw_call_failed(shown_path, "writing", EIO, size);
    data += written;
    size -= static_cast<std::size_t>(written);
    if (offset >= 0) offset += written;
  }
}

/// Reads up to `size` bytes; fewer only at the end of the file.
[[nodiscard]] inline std::size_t read_some(descriptor const& file, fs::path const& path,
                                           std::byte* data, std::size_t size, std::int64_t offset) {
  constexpr std::size_t largest_read = std::size_t{1} << 30U;
  std::size_t done = 0;
  while (done < size) {
    auto const got = checked_call(system_call::read, path, [&] {
      return ::pread(file.get(), data + done, std::min(size - done, largest_read),
                     static_cast<::off_t>(offset + static_cast<std::int64_t>(done)));
    });
    if (got < 0) throw_call_failed(path, "reading", errno);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

/// Reads `size` bytes that the file had when it was opened.
/// throws     io_error when it shrank meanwhile or cannot be read
inline void read_all(descriptor const& file, fs::path const& path, std::byte* data,
                     std::size_t size, std::int64_t offset) {
  std::size_t const got = read_some(file, path, data, size, offset);
  if (got != size)
    throw io_error{"septum.file.7", shown(path) + ": expected " + to_text(size) + " bytes, found " +
                                        to_text(got) + ": the file shrank while it was read"};
}

/// Makes the content of a file durable. Pipes and devices cannot be synchronised; that is no error.
inline void sync_file(descriptor const& file, fs::path const& path) {
  if (checked_call(system_call::sync, path, [&] { return ::fsync(file.get()); }) == 0) return;
  if (errno != EINVAL && errno != ENOTSUP && errno != EROFS)
    throw_call_failed(path, "flushing to the disk", errno);
}

/// Makes a rename in `folder` durable.
inline void sync_folder(fs::path const& folder) {
  descriptor const file = open_file(folder, O_RDONLY | O_DIRECTORY, "opening the folder");
  if (checked_call(system_call::sync_folder, folder, [&] { return ::fsync(file.get()); }) == 0)
    return;
  if (errno != EINVAL && errno != ENOTSUP && errno != EROFS)
    throw_call_failed(folder, "flushing the folder to the disk", errno);
}

inline void rename_path(fs::path const& from, fs::path const& to) {
  if (checked_call(system_call::rename, to, [&] { return ::rename(from.c_str(), to.c_str()); }) < 0)
    throw_call_failed(to, "renaming the finished file into place", errno);
}

/// Makes one folder; says whether it is new.
inline bool make_folder(fs::path const& path) {
  if (checked_call(system_call::make_folder, path, [&] { return ::mkdir(path.c_str(), 0777); }) ==
      0)
    return true;
  int const code = errno;
  if (std::error_code ignored; code == EEXIST && fs::is_directory(path, ignored)) return false;
  throw_call_failed(path, "making the folder", code);
}

[[nodiscard]] inline fs::path folder_of(fs::path const& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path{"."};
}

/// Makes `path` and the folders above it.
inline void make_folders(fs::path const& path) {
  if (path.empty()) return;
  if (std::error_code ignored; fs::is_directory(path, ignored)) return;
  if (path.has_parent_path() && path.parent_path() != path) make_folders(path.parent_path());
  make_folder(path);
}

}  // namespace detail
}  // namespace septum::inline SEPTUM_ABI::io
