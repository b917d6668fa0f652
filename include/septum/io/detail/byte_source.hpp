#pragma once
#include <septum/io/file.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

namespace septum::inline SEPTUM_ABI::io::detail {

/// Bytes that are read at any place: those of a buffer, or those of a file of which only a small
/// window is in memory. A copy shares the file. Reads from a file are for one thread.
class byte_source {
 public:
  explicit byte_source(std::span<std::byte const> bytes) : bytes_{bytes}, size_{bytes.size()} {}
  /// throws     io_error when the file is missing, empty, or not a regular file
  explicit byte_source(std::filesystem::path const& path)
      : file_{std::make_shared<open_file_state>(path)}, size_{file_->size} {}

  [[nodiscard]] std::uint64_t size() const { return size_; }

  /// Copies the bytes from `offset` on; the caller knows that they exist.
  /// throws     io_error when the file shrank meanwhile or cannot be read
  void copy(std::uint64_t offset, std::byte* target, std::size_t count) const {
    if (!file_) {
      std::memcpy(target, bytes_.data() + offset, count);
      return;
    }
    if (count >= window_bytes) {
      file_->read(offset, target, count);
      return;
    }
    std::vector<std::byte>& window = file_->window;
    if (offset < file_->window_offset || offset + count > file_->window_offset + window.size()) {
      window.resize(std::min<std::uint64_t>(window_bytes, size_ - offset));
      file_->window_offset = offset;
      file_->read(offset, window.data(), window.size());
    }
    std::memcpy(target, window.data() + (offset - file_->window_offset), count);
  }

 private:
  static constexpr std::size_t window_bytes = std::size_t{1} << 16U;

  struct open_file_state {
    explicit open_file_state(std::filesystem::path const& where)
        : path{where}, file{open_regular_file(where)}, size{file_size(file, where)} {}

    void read(std::uint64_t offset, std::byte* target, std::size_t count) const {
      read_all(file, path, target, count, static_cast<std::int64_t>(offset));
    }

    std::filesystem::path path;
    descriptor file;
    std::uint64_t size;
    std::vector<std::byte> window{};
    std::uint64_t window_offset = 0;
  };

  std::span<std::byte const> bytes_;
  std::shared_ptr<open_file_state> file_;
  std::uint64_t size_;
};

}  // namespace septum::inline SEPTUM_ABI::io::detail
