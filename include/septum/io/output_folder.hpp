#pragma once
#include <septum/core/hash.hpp>
#include <septum/io/file.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

/// Exclusive right to write one output, held by this object. The lock file beside the output names
/// the owner; the kernel lets go of it when the owner ends, however it ends.
class output_lock {
 public:
  /// throws     io_error with fault::locked that names the owner, when another process has it
  explicit output_lock(std::filesystem::path const& target)
      : path_{detail::folder_of(target) /
              (".septum-lock-" + to_text(fnv1a(target.filename().native())))} {
    while (true) {
      file_ = detail::open_file(path_, O_RDWR | O_CREAT, "opening the lock file");
      if (detail::checked_call(system_call::lock, path_,
                               [&] { return ::flock(file_.get(), LOCK_EX | LOCK_NB); }) < 0) {
        int const code = errno;
        if (code == EWOULDBLOCK) throw_locked(target);
        // A file system without locks: what the lock file says decides.
        if (owner_may_live()) throw_locked(target);
      }
      struct stat held {};
      struct stat named {};
      bool const same = ::fstat(file_.get(), &held) == 0 && ::stat(path_.c_str(), &named) == 0 &&
                        held.st_ino == named.st_ino && held.st_dev == named.st_dev;
      // The previous owner may have removed the file between our open and our lock.
      if (same) break;
    }
    std::string const owner = "process " + to_text(static_cast<long long>(::getpid())) + " on " +
                              detail::host_name() + "\n";
    auto const bytes = std::as_bytes(std::span{owner});
    if (::ftruncate(file_.get(), 0) != 0)
      detail::throw_call_failed(path_, "writing the lock file", errno);
    detail::write_all(file_, path_, bytes.data(), bytes.size(), 0);
  }
  output_lock(output_lock const&) = delete;
  output_lock& operator=(output_lock const&) = delete;
  ~output_lock() { ::unlink(path_.c_str()); }

 private:
  [[nodiscard]] std::string owner() const {
    std::string text(200, '\0');
    auto const got = ::pread(file_.get(), text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    text.resize(std::min(text.size(), text.find('\n')));
    return text.empty() ? "an unnamed process" : printable(text);
  }

  [[nodiscard]] bool owner_may_live() const {
    std::string const text = owner();
    constexpr std::string_view lead = "process ";
    if (!text.starts_with(lead)) return false;
    std::string_view const rest = std::string_view{text}.substr(lead.size());
    auto const process = parse_number<::pid_t>(rest.substr(0, rest.find(' ')));
    if (!rest.ends_with(" on " + detail::host_name())) return true;
    return process && *process > 0 && detail::process_alive(*process);
  }

  [[noreturn]] void throw_locked(std::filesystem::path const& target) const {
    throw io_error{"septum.folder.1",
                   detail::shown(target) + ": expected to be the only writer, found that " +
                       owner() + " writes here; wait for it, or choose another folder",
                   fault::locked};
  }

  std::filesystem::path path_;
  detail::descriptor file_;
};

/// Name of the list of files that `output_folder` puts into a finished folder. One line per file:
/// checksum (FNV-1a, 16 hexadecimal digits), size in bytes, path relative to the folder.
inline constexpr std::string_view manifest_name = ".septum-manifest";

/// A folder of results that appears complete or not at all. Files are written under `path()`, a
/// hidden folder beside the target; `commit` writes the manifest and moves the folder into place.
/// An earlier result is replaced as a whole, but only when everything in it is named in its
/// manifest: a folder with foreign files is never touched.
class output_folder {
 public:
  /// Takes the lock, clears what dead runs left behind, and creates the hidden folder, so that
  /// every reason why the result could not be written shows before the work starts.
  /// throws     io_error: fault::locked when another process writes the same folder,
  ///            fault::resource when the place is read-only, fault::input when the target is a file
  ///            or a folder with files that are not septum's
  explicit output_folder(std::filesystem::path const& target)
      : target_{resolved(target)}, parent_{made(detail::folder_of(target_))}, lock_{target_} {
    kind_ = "folder" + to_text(fnv1a(target_.filename().native()));
    recover_interrupted_exchange();
    refuse_foreign_content();
    detail::remove_stale(parent_, kind_);
    std::filesystem::path const work = parent_ / detail::temporary_name(kind_);
    detail::make_folder(work);
    work_ = work;
  }
  output_folder(output_folder const&) = delete;
  output_folder& operator=(output_folder const&) = delete;
  ~output_folder() {
    std::error_code ignored;
    if (!work_.empty()) std::filesystem::remove_all(work_, ignored);
  }

  /// Where to write until `commit`.
  [[nodiscard]] std::filesystem::path const& path() const { return work_; }
  /// Where the result will be.
  [[nodiscard]] std::filesystem::path const& target() const { return target_; }

  /// Path to write `relative` at, e.g. "labels/a.tif"; makes the folders above it.
  [[nodiscard]] std::filesystem::path file(std::filesystem::path const& relative) const {
    for (auto const& part : relative)
      SEPTUM_EXPECTS(part != ".." && !relative.is_absolute(),
                     io_error("septum.folder.2", detail::shown(relative) +
                                                     ": expected a path inside the output folder"));
    std::filesystem::path const result = work_ / relative;
    detail::make_folders(detail::folder_of(result));
    return result;
  }

  /// Writes the manifest and puts the folder in place of an earlier result.
  void commit() {
    write_manifest();
    refuse_foreign_content();
    std::error_code ignored;
    std::filesystem::path leftover;
    if (!std::filesystem::exists(target_, ignored)) {
      detail::rename_path(work_, target_);
    } else if (exchange()) {
      leftover = work_;
    } else {
      // A file system that cannot exchange two folders: for a moment the old one has another name.
      leftover = parent_ / detail::temporary_name("old" + kind_);
      detail::rename_path(target_, leftover);
      try {
        detail::rename_path(work_, target_);
      } catch (error const&) {
        std::filesystem::rename(leftover, target_, ignored);
        throw;
      }
    }
    work_ = leftover;
    detail::sync_folder(parent_);
  }

 private:
  [[nodiscard]] static std::filesystem::path resolved(std::filesystem::path const& target) {
    std::error_code failure;
    std::filesystem::path result =
        std::filesystem::weakly_canonical(std::filesystem::absolute(target, failure), failure);
    if (failure || target.empty())
      throw io_error{"septum.folder.3", detail::shown(target) + ": not a usable folder name: " +
                                            (target.empty() ? "empty" : failure.message())};
    // "results/" and "results" are one folder.
    if (result.filename().empty()) result = result.parent_path();
    if (result.filename().empty() ||
        std::filesystem::equivalent(result, std::filesystem::current_path(failure), failure))
      throw io_error{
          "septum.folder.3",
          detail::shown(target) + ": expected a folder of its own for the results, found the " +
              (result.filename().empty() ? "root" : "current") + " folder; name a new one"};
    return result;
  }

  /// Swaps the new folder and the old result in one step, where the file system can.
  [[nodiscard]] bool exchange() const {
    int const result = detail::checked_call(system_call::rename, target_, [&] {
      return ::renameat2(AT_FDCWD, work_.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE);
    });
    if (result == 0) return true;
    if (errno == EINVAL || errno == ENOSYS || errno == ENOTSUP) return false;
    detail::throw_call_failed(target_, "putting the result in place", errno);
  }

  [[nodiscard]] static std::filesystem::path made(std::filesystem::path const& folder) {
    detail::make_folders(folder);
    return folder;
  }

  /// A run that was killed between its two renames left the old result under a temporary name.
  void recover_interrupted_exchange() const {
    std::error_code failure;
    if (std::filesystem::exists(target_, failure)) {
      detail::remove_stale(parent_, "old" + kind_);
      return;
    }
    std::string const prefix = detail::temporary_prefix("old" + kind_);
    for (std::filesystem::directory_iterator entry{parent_, failure}, end; !failure && entry != end;
         entry.increment(failure)) {
      if (!entry->path().filename().native().starts_with(prefix)) continue;
      std::filesystem::rename(entry->path(), target_, failure);
      return;
    }
  }

  [[nodiscard]] static std::set<std::string> listed_files(std::filesystem::path const& folder) {
    std::set<std::string> names{std::string{manifest_name}};
    std::error_code failure;
    if (!std::filesystem::exists(folder / manifest_name, failure)) return names;
    file_content const manifest = read_file(folder / manifest_name);
    std::string_view rest = manifest.text();
    while (!rest.empty()) {
      std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      for (int field = 0; field < 2; ++field)
        line.remove_prefix(std::min(line.size(), line.find(' ') + 1));
      names.insert(std::string{line});
    }
    return names;
  }

  void refuse_foreign_content() const {
    std::error_code failure;
    if (!std::filesystem::exists(target_, failure)) return;
    if (!std::filesystem::is_directory(target_, failure))
      throw io_error{"septum.folder.4",
                     detail::shown(target_) + ": expected a folder, found a file"};
    std::set<std::string> const names = listed_files(target_);
    for (std::filesystem::recursive_directory_iterator entry{target_, failure}, end;
         !failure && entry != end; entry.increment(failure)) {
      if (entry->is_directory() && !entry->is_symlink()) continue;
      std::string const name = escaped(entry->path().lexically_relative(target_).native());
      if (!names.contains(name))
        throw io_error{"septum.folder.5",
                       detail::shown(target_) +
                           ": expected a new folder or an earlier result, found " +
                           printable(name) +
                           " in it, which is not part of a result; move it away or choose another "
                           "folder"};
    }
    if (failure) detail::throw_call_failed(target_, "listing the folder", failure.value());
  }

  /// One line per file: a newline in a name would break the list.
  [[nodiscard]] static std::string escaped(std::string_view name) {
    return printable(name, std::string::npos);
  }

  void write_manifest() const {
    std::vector<std::filesystem::path> files;
    for (auto const& entry : std::filesystem::recursive_directory_iterator{work_})
      if (entry.is_regular_file()) files.push_back(entry.path().lexically_relative(work_));
    std::sort(files.begin(), files.end());
    std::string lines;
    for (std::filesystem::path const& name : files) {
      std::uint64_t size = 0;
      std::uint64_t const sum = checksum(work_ / name, size);
      std::string digits(16, '0');
      for (std::size_t i = 0; i < digits.size(); ++i)
        digits[i] = "0123456789abcdef"[(sum >> (60 - 4 * i)) & 0xFU];
      lines += digits + " " + to_text(size) + " " + escaped(name.native()) + "\n";
    }
    write_file(work_ / manifest_name, lines);
  }

  [[nodiscard]] static std::uint64_t checksum(std::filesystem::path const& path,
                                              std::uint64_t& size) {
    detail::descriptor const file = detail::open_file(path, O_RDONLY, "reading back");
    std::vector<std::byte> block(std::size_t{1} << 20U);
    std::uint64_t sum = fnv1a_start;
    while (true) {
      std::size_t const got = detail::read_some(file, path, block.data(), block.size(),
                                                static_cast<std::int64_t>(size));
      sum = fnv1a(std::span<std::byte const>{block.data(), got}, sum);
      size += got;
      if (got < block.size()) return sum;
    }
  }

  std::filesystem::path target_;
  std::filesystem::path parent_;
  output_lock lock_;
  std::string kind_;
  std::filesystem::path work_;
};

}  // namespace septum::inline SEPTUM_ABI::io
