#pragma once
#include <septum/image/mask_rows.hpp>
#include <septum/io/file.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

/// A mask on the disk, a bit per pixel, written once from the top and read any number of times:
/// what lies between the passes over an image that is larger than the memory. The file has no name
/// and vanishes with the object or the process.
class mask_file {
 public:
  /// throws     io_error when the folder cannot be written to or has no room
  mask_file(std::filesystem::path const& folder, std::int32_t rows, std::int32_t columns)
      : path_{folder / detail::temporary_name("file")},
        rows_{rows},
        columns_{columns},
        row_words_{(static_cast<std::size_t>(columns) + 63) / 64} {
    auto const free = detail::free_bytes(path_);
    if (free && *free < row_bytes() * static_cast<std::uint64_t>(rows))
      detail::throw_no_space(path_, row_bytes() * static_cast<std::uint64_t>(rows), "disk full");
    file_ = detail::open_file(path_, O_RDWR | O_CREAT | O_EXCL, "making a temporary file");
    ::unlink(path_.c_str());
    held_.reserve(row_words_ * rows_at_once());
  }

  /// Bytes held for an image of that width.
  [[nodiscard]] static std::size_t buffer_bytes(std::int32_t columns) {
    return buffer_target + static_cast<std::size_t>(columns) / 4;
  }

  /// The next row: words as in mask_rows.
  void add_row(std::span<std::uint64_t const> words) {
    held_.insert(held_.end(), words.begin(), words.end());
    ++written_;
    if (held_.size() >= row_words_ * rows_at_once() || written_ == rows_) flush();
  }

  /// The mask, once all rows are written; refers to this object.
  [[nodiscard]] mask_rows rows() {
    held_.clear();
    first_held_ = 0;
    return {rows_, columns_, [this](std::int32_t row, std::span<std::uint64_t> words) {
              auto const wanted = static_cast<std::size_t>(row);
              std::size_t const held = held_.size() / row_words_;
              if (wanted < first_held_ || wanted >= first_held_ + held) load(wanted);
              std::copy_n(held_.data() + (wanted - first_held_) * row_words_, row_words_,
                          words.data());
            }};
  }

 private:
  static constexpr std::size_t buffer_target = std::size_t{1} << 20U;
  [[nodiscard]] std::size_t row_bytes() const { return row_words_ * sizeof(std::uint64_t); }
  [[nodiscard]] std::size_t rows_at_once() const {
    return std::max<std::size_t>(1, buffer_target / row_bytes());
  }

  void flush() {
    std::size_t const bytes = held_.size() * sizeof(std::uint64_t);
    detail::write_all(file_, path_, reinterpret_cast<std::byte const*>(held_.data()), bytes,
                      static_cast<std::int64_t>(offset_));
    offset_ += bytes;
    held_.clear();
  }
  void load(std::size_t row) {
    std::size_t const rows = std::min(rows_at_once(), static_cast<std::size_t>(rows_) - row);
    held_.resize(rows * row_words_);
    detail::read_all(file_, path_, reinterpret_cast<std::byte*>(held_.data()), rows * row_bytes(),
                     static_cast<std::int64_t>(row * row_bytes()));
    first_held_ = row;
  }

  std::filesystem::path path_;
  std::int32_t rows_;
  std::int32_t columns_;
  std::size_t row_words_;
  detail::descriptor file_;
  std::vector<std::uint64_t> held_;
  std::size_t first_held_ = 0;
  std::int32_t written_ = 0;
  std::uint64_t offset_ = 0;
};

}  // namespace septum::inline SEPTUM_ABI::io
