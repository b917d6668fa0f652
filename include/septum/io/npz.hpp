#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/detail/zip_archive.hpp>
#include <septum/io/file.hpp>
#include <septum/io/npy.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <xtensor/xtensor.hpp>

namespace septum::inline SEPTUM_ABI::io {

/// Named NumPy arrays in one file (`numpy.savez`, `numpy.savez_compressed`).
class npz_reader {
 public:
  /// throws     io_error for a damaged archive, or one that holds something else than arrays
  explicit npz_reader(std::filesystem::path const& path, zip_limits const& limits = {})
      : npz_reader{read_file(path), detail::shown(path), limits} {}

  /// `name` stands for the file in messages.
  npz_reader(file_content content, std::string name, zip_limits const& limits = {})
      : content_{std::move(content)},
        name_{std::move(name)},
        archive_{content_.bytes(), name_, limits} {
    for (auto const& member : archive_.members()) {
      constexpr std::string_view extension = ".npy";
      if (!member.name.ends_with(extension))
        throw io_error{"septum.npz.1", name_ + ": expected NumPy arrays (.npy), found '" +
                                           printable(member.name) + "'"};
      names_.push_back(member.name.substr(0, member.name.size() - extension.size()));
    }
  }

  /// The arrays' names in the order of the file.
  [[nodiscard]] std::vector<std::string> const& names() const { return names_; }
  [[nodiscard]] std::string const& name() const { return name_; }

  /// The .npy file of one array.
  /// throws     io_error when there is none of this name, with the names that are there
  [[nodiscard]] file_content content_of(std::string_view array) const {
    auto const found = std::find(names_.begin(), names_.end(), array);
    if (found == names_.end())
      throw io_error{"septum.npz.2", name_ + ": expected an array '" + printable(array) +
                                         "', found " + listed_names()};
    return archive_.read(archive_.members()[static_cast<std::size_t>(found - names_.begin())]);
  }

  /// One array, as `read_npy` reads it.
  template <NpyValue T, std::size_t Rank>
  [[nodiscard]] xt::xtensor<T, Rank> read(std::string_view array) const {
    return detail::npy_array<T, Rank>(content_of(array).bytes(), name_ + ": " + printable(array));
  }

  /// The name of the only array.
  /// throws     io_error when there are none or several
  [[nodiscard]] std::string const& only_name() const {
    if (names_.size() != 1)
      throw io_error{"septum.npz.3", name_ + ": expected one array, found " +
                                         (names_.empty() ? "none" : listed_names())};
    return names_.front();
  }

 private:
  [[nodiscard]] std::string listed_names() const {
    std::string list;
    for (std::string const& each : names_) list += (list.empty() ? "" : ", ") + printable(each);
    return list;
  }

  file_content content_;
  std::string name_;
  detail::zip_reader archive_;
  std::vector<std::string> names_;
};

/// Writes named NumPy arrays into one file that appears complete or not at all. Equal arrays give
/// equal files.
class npz_writer {
 public:
  explicit npz_writer(std::filesystem::path const& path, bool compress = true)
      : archive_{path}, compress_{compress} {}

  /// throws     unsupported_error when the file would exceed 4 GiB
  template <NpyValue T, std::size_t Rank>
  void add(std::string const& name, xt::xtensor<T, Rank> const& array) {
    std::string const lead = detail::npy_lead<T>(std::span{array.shape().data(), Rank});
    std::vector<std::byte> bytes(lead.size() + array.size() * sizeof(T));
    std::memcpy(bytes.data(), lead.data(), lead.size());
    if (array.size() > 0)
      std::memcpy(bytes.data() + lead.size(), array.data(), array.size() * sizeof(T));
    archive_.add(name + ".npy", bytes, compress_);
  }
  void commit() { archive_.commit(); }

 private:
  detail::zip_writer archive_;
  bool compress_;
};

}  // namespace septum::inline SEPTUM_ABI::io
