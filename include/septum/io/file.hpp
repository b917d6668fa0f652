#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/detail/system_calls.hpp>

#include <atomic>
#include <bit>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

static_assert(std::endian::native == std::endian::little,
              "septum: files are read and written on little-endian machines only. FIX: convert the "
              "images on a little-endian machine.");

/// The bytes of one file, held in memory.
class file_content {
 public:
  file_content() = default;
  file_content(std::unique_ptr<std::byte[]> data, std::size_t size)
      : data_{std::move(data)}, size_{size} {}

  [[nodiscard]] std::span<std::byte const> bytes() const { return {data_.get(), size_}; }
  [[nodiscard]] std::string_view text() const {
    return {reinterpret_cast<char const*>(data_.get()), size_};
  }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  std::unique_ptr<std::byte[]> data_;
  std::size_t size_ = 0;
};

/// What `read_file` accepts.
struct read_limits {
  std::uint64_t max_bytes = std::uint64_t{64} << 30U;
};

namespace detail {

/// Opens a file for reading; never waits on a pipe.
/// throws     io_error when the path is missing, a folder, or not a regular file
[[nodiscard]] inline descriptor open_regular_file(std::filesystem::path const& path) {
  // O_NONBLOCK keeps the open of a pipe without writer from hanging.
  descriptor file = open_file(path, O_RDONLY | O_NONBLOCK, "opening");
  struct stat state {};
  if (::fstat(file.get(), &state) != 0) throw_call_failed(path, "reading", errno);
  if (S_ISDIR(state.st_mode))
    throw io_error{"septum.file.3", shown(path) + ": expected a file, found a folder"};
  if (!S_ISREG(state.st_mode))
    throw io_error{"septum.file.3", shown(path) + ": expected a file, found a device or a pipe: " +
                                        "not a regular file"};
  return file;
}

/// throws     io_error when the file is empty
[[nodiscard]] inline std::uint64_t file_size(descriptor const& file,
                                             std::filesystem::path const& path) {
  struct stat state {};
  if (::fstat(file.get(), &state) != 0) throw_call_failed(path, "reading", errno);
  auto const size = static_cast<std::uint64_t>(state.st_size);
  if (size == 0) throw io_error{"septum.file.4", shown(path) + ": empty file"};
  return size;
}

}  // namespace detail

/// Reads a whole file into memory. Never waits on a pipe and never maps, so that a file which
/// shrinks meanwhile is an error and not a signal.
/// throws     io_error when the path is missing, a folder, not a regular file, empty, larger than
///            `limits.max_bytes` or than the memory, or cannot be read
[[nodiscard]] inline file_content read_file(std::filesystem::path const& path,
                                            read_limits limits = {}) {
  detail::descriptor const file = detail::open_regular_file(path);
  std::uint64_t const size = detail::file_size(file, path);
  if (size > limits.max_bytes)
    throw io_error{"septum.file.5", detail::shown(path) + ": expected at most " +
                                        to_text(limits.max_bytes) + " bytes, found " +
                                        to_text(size)};
  std::unique_ptr<std::byte[]> data;
  try {
    data = std::make_unique_for_overwrite<std::byte[]>(size);
  } catch (std::bad_alloc const&) {
    throw io_error{
        "septum.file.6",
        detail::shown(path) + ": no memory for the " + to_text(size) + " bytes of this file",
        fault::resource};
  }
  detail::read_all(file, path, data.get(), size, 0);
  return {std::move(data), size};
}

namespace detail {

[[nodiscard]] inline std::string host_name() {
  std::string name(256, '\0');
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  name.resize(name.find('\0'));
  // Host names go into file names and lock files: one word.
  for (char& c : name)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.'))
      c = '_';
  if (name.size() > 64) name.resize(64);
  return name.empty() ? "unknown" : name;
}

/// True for a process that has ended and whose parent has not asked how: in a container without an
/// init process it stays so for good.
[[nodiscard]] inline bool process_ended(::pid_t process) {
  std::string const path = "/proc/" + to_text(static_cast<long long>(process)) + "/stat";
  int const file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  std::string text(512, '\0');
  auto const got = ::read(file, text.data(), text.size());
  ::close(file);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  // "number (name) state ...", where the name may hold anything.
  auto const name_end = text.rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= text.size()) return false;
  return text[name_end + 2] == 'Z' || text[name_end + 2] == 'X';
}

/// True unless the process is known to be gone.
[[nodiscard]] inline bool process_alive(::pid_t process) {
  if (::kill(process, 0) != 0 && errno == ESRCH) return false;
  return !process_ended(process);
}

/// Temporary names: `.septum-<kind>-<host>-<process>-<count>`; `kind` is one word.
[[nodiscard]] inline std::string temporary_prefix(std::string_view kind) {
  return ".septum-" + std::string{kind} + "-" + host_name() + "-";
}
[[nodiscard]] inline std::string temporary_name(std::string_view kind) {
  static std::atomic<std::uint64_t> counter{0};
  return temporary_prefix(kind) + to_text(static_cast<long long>(::getpid())) + "-" +
         to_text(counter.fetch_add(1));
}

/// Removes from `folder` what processes of this host that no longer exist left behind.
inline void remove_stale(fs::path const& folder, std::string_view kind) noexcept {
  try {
    std::string const prefix = temporary_prefix(kind);
    std::vector<fs::path> stale;
    for (fs::directory_iterator entry{folder}, end; entry != end; ++entry) {
      std::string const name = entry->path().filename().native();
      if (!name.starts_with(prefix)) continue;
      std::string_view const rest = std::string_view{name}.substr(prefix.size());
      auto const process = parse_number<::pid_t>(rest.substr(0, rest.find('-')));
      if (process && *process > 0 && !process_alive(*process)) stale.push_back(entry->path());
    }
    for (fs::path const& path : stale) {
      std::error_code ignored;
      fs::remove_all(path, ignored);
    }
  } catch (std::exception const&) {
    // Cleaning up after others must not stop a run; its own calls report what matters.
    return;
  }
}

/// Once per folder and process, because a folder of many results would be listed for each of them.
inline void remove_stale_files_once(fs::path const& folder) {
  static std::mutex guard;
  static std::set<fs::path> cleaned;
  std::lock_guard const lock{guard};
  if (cleaned.insert(folder).second) remove_stale(folder, "file");
}

}  // namespace detail

/// A file that appears complete or not at all: bytes go to a temporary file beside the target, and
/// `commit` flushes them to the disk and renames it over the target. Without `commit` the
/// destructor removes the temporary file and the old target stays as it was. A target that is a
/// device or a pipe is written directly, in order.
/// throws     io_error, with fault::resource when the disk is full or the folder is read-only
class atomic_file {
 public:
  /// Creates the temporary file, so that a folder which cannot be written to fails here.
  explicit atomic_file(std::filesystem::path target) : target_{std::move(target)} {
    if (target_.filename().empty() || target_.filename() == "." || target_.filename() == "..")
      throw io_error{"septum.file.8",
                     detail::shown(target_) + ": expected the name of a file to write"};
    follow_links();
    struct stat state {};
    if (::stat(target_.c_str(), &state) == 0) {
      if (S_ISDIR(state.st_mode))
        throw io_error{"septum.file.8",
                       detail::shown(target_) + ": expected a file to write, found a folder"};
      direct_ = !S_ISREG(state.st_mode);
    } else if (errno != ENOENT) {
      detail::throw_call_failed(target_, "opening for writing", errno);
    }
    if (direct_) {
      file_ = detail::open_file(target_, O_WRONLY, "opening for writing");
      return;
    }
    folder_ = detail::folder_of(target_);
    detail::remove_stale_files_once(folder_);
    temporary_ = folder_ / detail::temporary_name("file");
    int const opened = detail::checked_call(system_call::open, target_, [&] {
      return ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    });
    if (opened < 0) {
      int const code = errno;
      temporary_.clear();
      detail::throw_call_failed(target_, "opening for writing", code);
    }
    file_ = detail::descriptor{opened};
    // A replaced file keeps its permissions; where that is refused, the new one has the default.
    if (S_ISREG(state.st_mode)) static_cast<void>(::fchmod(opened, state.st_mode & 07777U));
  }
  atomic_file(atomic_file const&) = delete;
  atomic_file& operator=(atomic_file const&) = delete;
  ~atomic_file() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }

  /// Appends; also moves the position that `write` continues from.
  void write(std::span<std::byte const> bytes) {
    detail::write_all(file_, target_, bytes.data(), bytes.size(),
                      direct_ ? -1 : static_cast<std::int64_t>(position_));
    position_ += bytes.size();
    size_ = std::max(size_, position_);
  }
  void write(std::string_view text) { write(std::as_bytes(std::span{text.data(), text.size()})); }

  /// Sets the position of the next `write` or `read`.
  void seek(std::uint64_t position) {
    if (direct_ && position != position_)
      throw io_error{
          "septum.file.9",
          detail::shown(target_) + ": this format needs a regular file, not a device or a pipe"};
    position_ = position;
  }
  /// Reads back what was written; returns fewer bytes only at the end.
  [[nodiscard]] std::size_t read(std::span<std::byte> bytes) {
    if (direct_) seek(position_ + 1);
    std::size_t const got = detail::read_some(file_, target_, bytes.data(), bytes.size(),
                                              static_cast<std::int64_t>(position_));
    position_ += got;
    return got;
  }
  [[nodiscard]] std::uint64_t position() const { return position_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] std::filesystem::path const& target() const { return target_; }

  /// Fails early, before any work, when the file system has not `bytes` bytes left.
  void expect_room(std::uint64_t bytes) const {
    if (direct_) return;
    auto const available = detail::free_bytes(target_);
    if (available && *available < bytes) detail::throw_no_space(target_, bytes, "disk full");
  }

  /// Flushes, closes, renames into place, flushes the folder.
  void commit() {
    detail::sync_file(file_, target_);
    file_.close(target_);
    if (direct_) return;
    detail::rename_path(temporary_, target_);
    temporary_.clear();
    detail::sync_folder(folder_);
  }

 private:
  /// A symbolic link stays, and what it points to is replaced.
  void follow_links() {
    constexpr int most_links = 40;
    std::error_code failure;
    for (int i = 0; i < most_links && std::filesystem::is_symlink(target_, failure); ++i)
      target_ = detail::folder_of(target_) / std::filesystem::read_symlink(target_, failure);
  }

  std::filesystem::path target_;
  std::filesystem::path folder_;
  std::filesystem::path temporary_;
  detail::descriptor file_;
  std::uint64_t position_ = 0;
  std::uint64_t size_ = 0;
  bool direct_ = false;
};

/// Writes one file as `atomic_file` does: the complete old file or the complete new one.
inline void write_file(std::filesystem::path const& path, std::span<std::byte const> bytes) {
  atomic_file file{path};
  file.expect_room(bytes.size());
  file.write(bytes);
  file.commit();
}
inline void write_file(std::filesystem::path const& path, std::string_view text) {
  write_file(path, std::as_bytes(std::span{text.data(), text.size()}));
}

}  // namespace septum::inline SEPTUM_ABI::io
