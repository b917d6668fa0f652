#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/file.hpp>

#include <zlib.h>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <new>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

/// Limits that every zip archive has to respect; each is named in the error it causes.
struct zip_limits {
  std::uint64_t max_members = 65536;
  std::uint64_t max_bytes = std::uint64_t{64} << 30U;  ///< of all members together, inflated
};

namespace detail {

/// One file in an archive, checked against the archive.
struct zip_member {
  std::string name;
  bool deflated = false;
  std::uint32_t checksum = 0;
  std::uint64_t stored_size = 0;
  std::uint64_t size = 0;
  std::uint64_t header = 0;  ///< position of the local header
  std::uint64_t data = 0;    ///< position of the stored bytes
};

/// A zip archive in memory. Nothing is unpacked to the disk, and no number in it is trusted: the
/// local headers must agree with the central directory, members may not overlap, and no member may
/// claim to inflate to more than Deflate can.
class zip_reader {
 public:
  /// throws     io_error for a damaged archive or one above the limits, unsupported_error for
  ///            encryption, links, other compression, or names that point outside the archive
  zip_reader(std::span<std::byte const> bytes, std::string name, zip_limits const& limits = {})
      : bytes_{bytes}, name_{std::move(name)}, limits_{limits} {
    read_end();
    read_directory();
    for (zip_member& member : members_) read_local_header(member);
    expect_apart();
  }

  [[nodiscard]] std::vector<zip_member> const& members() const { return members_; }
  /// The text that is attached to the archive.
  [[nodiscard]] std::string_view comment() const { return comment_; }

  /// The bytes of one member, its checksum verified.
  [[nodiscard]] file_content read(zip_member const& member) const {
    std::string const where = name_ + ": " + printable(member.name);
    std::unique_ptr<std::byte[]> data;
    try {
      // zlib wants an address even for nothing.
      data = std::make_unique_for_overwrite<std::byte[]>(std::max<std::uint64_t>(member.size, 1));
    } catch (std::bad_alloc const&) {
      throw io_error{"septum.zip.3", where + ": no memory for " + to_text(member.size) + " bytes",
                     fault::resource};
    }
    auto const stored = bytes_.subspan(member.data, member.stored_size);
    if (member.deflated)
      inflate_into(stored, {data.get(), member.size}, where);
    else if (member.size > 0)
      std::memcpy(data.get(), stored.data(), member.size);
    if (checksum_of({data.get(), member.size}) != member.checksum)
      throw io_error{"septum.zip.1", where + ": the checksum differs: the archive is damaged"};
    return {std::move(data), member.size};
  }

  [[nodiscard]] static std::uint32_t checksum_of(std::span<std::byte const> bytes) {
    return static_cast<std::uint32_t>(::crc32_z(
        ::crc32_z(0, nullptr, 0), reinterpret_cast<Bytef const*>(bytes.data()), bytes.size()));
  }

 private:
  static constexpr std::uint64_t end_size = 22;
  static constexpr std::uint64_t central_size = 46;
  static constexpr std::uint64_t local_size = 30;
  static constexpr std::uint32_t narrow = 0xFFFFFFFFU;  ///< the number stands in a zip64 field

  [[noreturn]] void fail(std::string const& what) const {
    throw io_error{"septum.zip.1", name_ + ": " + what + ": the archive is cut short or damaged"};
  }
  [[noreturn]] void fail_unsupported(std::string const& what) const {
    throw unsupported_error{"septum.zip.2", name_ + ": " + what};
  }
  void expect_inside(std::string_view what, std::uint64_t offset, std::uint64_t size) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset)
      fail(std::string{what} + " at byte " + to_text(offset) + ": expected " + to_text(size) +
           " bytes, found " + to_text(offset < bytes_.size() ? bytes_.size() - offset : 0));
  }
  template <std::unsigned_integral T>
  [[nodiscard]] T load(std::uint64_t offset) const {
    T value = 0;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }
  [[nodiscard]] std::string text(std::uint64_t offset, std::uint64_t size) const {
    return {reinterpret_cast<char const*>(bytes_.data()) + offset, size};
  }

  /// Finds the record at the end of the archive, whose comment has to fill the rest of the file.
  void read_end() {
    constexpr std::uint64_t longest_comment = 65535;
    if (bytes_.size() < end_size) fail("expected the end of a zip archive, found none");
    std::uint64_t const last = bytes_.size() - end_size;
    std::uint64_t const first = last > longest_comment ? last - longest_comment : 0;
    for (std::uint64_t at = last + 1; at-- > first;) {
      if (load<std::uint32_t>(at) != 0x06054B50U ||
          at + end_size + load<std::uint16_t>(at + 20) != bytes_.size())
        continue;
      comment_ = text(at + end_size, bytes_.size() - at - end_size);
      if (load<std::uint16_t>(at + 4) != load<std::uint16_t>(at + 6))
        fail_unsupported("expected one file, found a part of an archive in several files");
      count_ = load<std::uint16_t>(at + 10);
      directory_size_ = load<std::uint32_t>(at + 12);
      directory_ = load<std::uint32_t>(at + 16);
      end_ = at;
      if (count_ == 0xFFFFU || directory_size_ == narrow || directory_ == narrow) read_wide_end(at);
      expect_inside("directory", directory_, directory_size_);
      if (directory_ + directory_size_ > end_) fail("the directory overlaps the end");
      if (count_ > limits_.max_members)
        throw io_error{"septum.zip.3", name_ + ": expected at most " +
                                           to_text(limits_.max_members) + " members, found " +
                                           to_text(count_)};
      return;
    }
    fail("expected the end of a zip archive, found none");
  }

  void read_wide_end(std::uint64_t end) {
    constexpr std::uint64_t locator_size = 20;
    constexpr std::uint64_t wide_size = 56;
    if (end < locator_size || load<std::uint32_t>(end - locator_size) != 0x07064B50U)
      fail("expected the locator of a zip64 archive");
    std::uint64_t const at = load<std::uint64_t>(end - locator_size + 8);
    expect_inside("zip64 end", at, wide_size);
    if (load<std::uint32_t>(at) != 0x06064B50U) fail("expected the end of a zip64 archive");
    count_ = load<std::uint64_t>(at + 32);
    directory_size_ = load<std::uint64_t>(at + 40);
    directory_ = load<std::uint64_t>(at + 48);
    end_ = at;
  }

  /// Sizes, and where given the position, of a zip64 field.
  void read_wide_field(zip_member& member, std::uint64_t extra, std::uint64_t extra_size,
                       bool with_header) const {
    std::uint64_t at = extra;
    std::uint64_t const end = extra + extra_size;
    while (end - at >= 4) {
      auto const id = load<std::uint16_t>(at);
      std::uint64_t const size = load<std::uint16_t>(at + 2);
      at += 4;
      if (size > end - at) fail("a field of '" + printable(member.name) + "' is too long");
      if (id == 1) {
        std::uint64_t value = at;
        auto const take = [&](std::uint64_t& number) {
          if (number != narrow) return;
          if (value + 8 > at + size) fail("a zip64 field of '" + printable(member.name) + "'");
          number = load<std::uint64_t>(value);
          value += 8;
        };
        take(member.size);
        take(member.stored_size);
        if (with_header) take(member.header);
        return;
      }
      at += size;
    }
  }

  void read_directory() {
    std::uint64_t at = directory_;
    std::uint64_t const end = directory_ + directory_size_;
    std::uint64_t total = 0;
    std::set<std::string> names;
    for (std::uint64_t k = 0; k < count_; ++k) {
      if (end - at < central_size || load<std::uint32_t>(at) != 0x02014B50U)
        fail("entry " + to_text(k + 1) + " of " + to_text(count_) + " in the directory");
      std::uint64_t const name_size = load<std::uint16_t>(at + 28);
      std::uint64_t const extra_size = load<std::uint16_t>(at + 30);
      std::uint64_t const comment_size = load<std::uint16_t>(at + 32);
      if (name_size + extra_size + comment_size > end - at - central_size)
        fail("entry " + to_text(k + 1) + " of " + to_text(count_) + " in the directory");
      zip_member member{.name = text(at + central_size, name_size),
                        .checksum = load<std::uint32_t>(at + 16),
                        .stored_size = load<std::uint32_t>(at + 20),
                        .size = load<std::uint32_t>(at + 24),
                        .header = load<std::uint32_t>(at + 42)};
      read_wide_field(member, at + central_size + name_size, extra_size, true);
      check_kind(member, at);
      check_name(member.name);
      if (!names.insert(member.name).second)
        fail("'" + printable(member.name) + "' is there twice");
      check_size(member, total);
      // Folders hold nothing.
      if (!member.name.ends_with('/')) members_.push_back(std::move(member));
      at += central_size + name_size + extra_size + comment_size;
    }
    if (at != end) fail("the directory has " + to_text(end - at) + " bytes too many");
  }

  void check_kind(zip_member& member, std::uint64_t at) const {
    auto const flags = load<std::uint16_t>(at + 8);
    auto const method = load<std::uint16_t>(at + 10);
    auto const attributes = load<std::uint32_t>(at + 38);
    std::string const who = "'" + printable(member.name) + "'";
    if ((flags & 0x2041U) != 0) fail_unsupported(who + " is encrypted");
    if (method != 0 && method != 8)
      fail_unsupported(who + ": expected no compression (0) or Deflate (8), found method " +
                       to_text(method));
    // The system that packed it says in the upper half what a file is on Unix; 12 is a link.
    if (attributes >> 28U == 12) fail_unsupported(who + " is a link");
    member.deflated = method == 8;
  }

  /// Members are read by name and never unpacked; a name that points elsewhere is still a warning
  /// sign.
  void check_name(std::string_view name) const {
    bool odd = name.empty() || name.starts_with('/') || name.find('\0') != std::string_view::npos ||
               name.find('\\') != std::string_view::npos || (name.size() > 1 && name[1] == ':');
    for (std::string_view rest = name; !odd && !rest.empty();) {
      std::string_view const part = rest.substr(0, rest.find('/'));
      odd = part == "..";
      rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    }
    if (odd) fail_unsupported("expected names inside the archive, found '" + printable(name) + "'");
  }

  void check_size(zip_member const& member, std::uint64_t& total) const {
    constexpr std::uint64_t most_expansion = 1032;
    std::string const who = "'" + printable(member.name) + "'";
    if (!member.deflated && member.size != member.stored_size)
      fail(who + ": expected " + to_text(member.size) + " bytes, found " +
           to_text(member.stored_size));
    if (member.deflated && member.size / most_expansion > member.stored_size)
      fail(who + ": " + to_text(member.stored_size) + " bytes cannot become " +
           to_text(member.size));
    if (member.size > limits_.max_bytes - total)
      throw io_error{"septum.zip.3", name_ + ": expected at most " + to_text(limits_.max_bytes) +
                                         " bytes in all members, found more at " + who};
    total += member.size;
  }

  void read_local_header(zip_member& member) const {
    std::string const who = "'" + printable(member.name) + "'";
    expect_inside(who, member.header, local_size);
    std::uint64_t const at = member.header;
    if (load<std::uint32_t>(at) != 0x04034B50U) fail(who + ": expected a header");
    std::uint64_t const name_size = load<std::uint16_t>(at + 26);
    std::uint64_t const extra_size = load<std::uint16_t>(at + 28);
    expect_inside(who, at + local_size, name_size + extra_size);
    zip_member local{.name = text(at + local_size, name_size),
                     .stored_size = load<std::uint32_t>(at + 18),
                     .size = load<std::uint32_t>(at + 22)};
    read_wide_field(local, at + local_size + name_size, extra_size, false);
    // Writers that do not know the sizes beforehand put them behind the data.
    bool const later = (load<std::uint16_t>(at + 6) & 8U) != 0;
    bool const sizes = local.stored_size == member.stored_size && local.size == member.size &&
                       load<std::uint32_t>(at + 14) == member.checksum;
    bool const unknown = later && local.stored_size == 0 && local.size == 0;
    if (local.name != member.name || load<std::uint16_t>(at + 8) != (member.deflated ? 8 : 0) ||
        !(sizes || unknown))
      fail(who + ": its header and the directory of the archive contradict each other");
    member.data = at + local_size + name_size + extra_size;
    expect_inside(who, member.data, member.stored_size);
    if (member.data + member.stored_size > directory_) fail(who + " overlaps the directory");
  }

  void expect_apart() const {
    std::vector<zip_member const*> order;
    for (zip_member const& member : members_) order.push_back(&member);
    std::sort(order.begin(), order.end(),
              [](auto const* a, auto const* b) { return a->header < b->header; });
    for (std::size_t k = 1; k < order.size(); ++k)
      if (order[k]->header < order[k - 1]->data + order[k - 1]->stored_size)
        fail("'" + printable(order[k - 1]->name) + "' and '" + printable(order[k]->name) +
             "' overlap");
  }

  void inflate_into(std::span<std::byte const> stored, std::span<std::byte> target,
                    std::string const& where) const {
    struct inflater {
      z_stream stream{};
      bool ready = ::inflateInit2(&stream, -MAX_WBITS) == Z_OK;
      inflater() = default;
      inflater(inflater const&) = delete;
      inflater& operator=(inflater const&) = delete;
      ~inflater() {
        if (ready) ::inflateEnd(&stream);
      }
    } state;
    if (!state.ready)
      throw io_error{"septum.zip.3", where + ": no memory to inflate", fault::resource};
    constexpr std::size_t largest = std::size_t{1} << 30U;
    std::byte spare{};
    std::size_t taken = 0;
    std::size_t given = 0;
    int result = Z_OK;
    while (result == Z_OK) {
      std::size_t const in = std::min(stored.size() - taken, largest);
      std::size_t const out = std::min(target.size() - given, largest);
      // One byte beyond the end shows whether there is more than was declared.
      std::byte* const to = out > 0 ? target.data() + given : &spare;
      // zlib does not write to its input; its declaration is older than const.
      state.stream.next_in =
          reinterpret_cast<Bytef*>(const_cast<std::byte*>(stored.data() + taken));
      state.stream.avail_in = static_cast<uInt>(in);
      state.stream.next_out = reinterpret_cast<Bytef*>(to);
      state.stream.avail_out = static_cast<uInt>(std::max<std::size_t>(out, 1));
      result = ::inflate(&state.stream, Z_NO_FLUSH);
      std::size_t const produced = std::max<std::size_t>(out, 1) - state.stream.avail_out;
      taken += in - state.stream.avail_in;
      if (out == 0 && produced > 0) break;
      given += produced;
      if (in == 0 && produced == 0) break;
    }
    if (result != Z_STREAM_END || given != target.size() || taken != stored.size())
      throw io_error{"septum.zip.1", where + ": expected " + to_text(target.size()) +
                                         " bytes, found other data: the archive is damaged"};
  }

  std::span<std::byte const> bytes_;
  std::string name_;
  zip_limits limits_;
  std::string comment_;
  std::uint64_t count_ = 0;
  std::uint64_t directory_ = 0;
  std::uint64_t directory_size_ = 0;
  std::uint64_t end_ = 0;
  std::vector<zip_member> members_;
};

/// Writes a zip archive that appears complete or not at all. Equal members give equal archives:
/// every date is the first that the format knows.
class zip_writer {
 public:
  explicit zip_writer(std::filesystem::path const& path) : file_{path}, name_{shown(path)} {}

  /// Adds a file, deflated where that makes it smaller.
  /// throws     unsupported_error for more than 65534 members or 4 GiB
  void add(std::string const& name, std::span<std::byte const> bytes, bool compress = true) {
    constexpr std::uint64_t most = 0xFFFFFFFEU;
    if (count_ == 65534 || bytes.size() > most || file_.position() > most - bytes.size())
      throw unsupported_error{"septum.zip.4", name_ +
                                                  ": expected at most 65534 members and 4 GiB in a "
                                                  "zip archive, found more; write a .npy or TIFF "
                                                  "file instead"};
    std::vector<std::byte> packed;
    if (compress) packed = deflated(bytes);
    bool const smaller = compress && packed.size() < bytes.size();
    std::span<std::byte const> const stored = smaller ? std::span<std::byte const>{packed} : bytes;
    std::string fields;
    put<std::uint16_t>(fields, 20);      // version that is needed
    put<std::uint16_t>(fields, 0x0800);  // the name is UTF-8
    put<std::uint16_t>(fields, smaller ? 8 : 0);
    put<std::uint32_t>(fields, 0x00210000U);  // 1 January 1980
    put<std::uint32_t>(fields, zip_reader::checksum_of(bytes));
    put<std::uint32_t>(fields, stored.size());
    put<std::uint32_t>(fields, bytes.size());
    put<std::uint16_t>(fields, name.size());
    put<std::uint16_t>(fields, 0);
    put<std::uint32_t>(directory_, 0x02014B50U);
    put<std::uint16_t>(directory_, 20);
    directory_ += fields;
    put<std::uint16_t>(directory_, 0);  // comment
    put<std::uint16_t>(directory_, 0);  // disk
    put<std::uint16_t>(directory_, 0);
    put<std::uint32_t>(directory_, 0);
    put<std::uint32_t>(directory_, file_.position());
    directory_ += name;
    ++count_;
    std::string header;
    put<std::uint32_t>(header, 0x04034B50U);
    file_.write(header + fields + name);
    file_.write(stored);
  }

  void commit(std::string_view comment = {}) {
    std::uint64_t const start = file_.position();
    if (start + directory_.size() > 0xFFFFFFFEU)
      throw unsupported_error{"septum.zip.4",
                              name_ + ": expected at most 4 GiB in a zip archive, found more"};
    std::string end = directory_;
    put<std::uint32_t>(end, 0x06054B50U);
    put<std::uint32_t>(end, 0);
    put<std::uint16_t>(end, count_);
    put<std::uint16_t>(end, count_);
    put<std::uint32_t>(end, directory_.size());
    put<std::uint32_t>(end, start);
    put<std::uint16_t>(end, comment.size());
    file_.write(end + std::string{comment});
    file_.commit();
  }

 private:
  template <std::unsigned_integral T>
  static void put(std::string& text, std::uint64_t value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) text += static_cast<char>(value >> (8 * i) & 0xFFU);
  }

  [[nodiscard]] static std::vector<std::byte> deflated(std::span<std::byte const> bytes) {
    z_stream stream{};
    constexpr int level = 6;
    constexpr int memory = 8;
    if (::deflateInit2(&stream, level, Z_DEFLATED, -MAX_WBITS, memory, Z_DEFAULT_STRATEGY) != Z_OK)
      throw std::bad_alloc{};
    std::unique_ptr<z_stream, int (*)(z_streamp)> const guard{&stream, &::deflateEnd};
    std::vector<std::byte> result(::deflateBound(&stream, bytes.size()));
    std::size_t taken = 0;
    std::size_t given = 0;
    int state = Z_OK;
    while (state == Z_OK) {
      constexpr std::size_t largest = std::size_t{1} << 30U;
      std::size_t const in = std::min(bytes.size() - taken, largest);
      std::size_t const out = std::min(result.size() - given, largest);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data() + taken));
      stream.avail_in = static_cast<uInt>(in);
      stream.next_out = reinterpret_cast<Bytef*>(result.data() + given);
      stream.avail_out = static_cast<uInt>(out);
      state = ::deflate(&stream, taken + in == bytes.size() ? Z_FINISH : Z_NO_FLUSH);
      taken += in - stream.avail_in;
      given += out - stream.avail_out;
    }
    result.resize(given);
    return result;
  }

  atomic_file file_;
  std::string name_;
  std::string directory_;
  std::uint64_t count_ = 0;
};

}  // namespace detail
}  // namespace septum::inline SEPTUM_ABI::io
