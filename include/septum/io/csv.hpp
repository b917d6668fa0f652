#pragma once
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/file.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace septum::inline SEPTUM_ABI::io {

/// One field of a CSV file as RFC 4180 wants it: quoted only where it has to be.
[[nodiscard]] inline std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string{text};
  std::string quoted = "\"";
  for (char const c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

/// Numbers with a point and as many digits as it takes to read them back exactly; NaN is an empty
/// field, as R, pandas and spreadsheets have it.
template <Number T>
[[nodiscard]] std::string csv_field(T value) {
  if constexpr (std::floating_point<T>)
    if (std::isnan(value)) return {};
  return to_text(value);
}
[[nodiscard]] inline std::string csv_field(bool value) { return value ? "1" : "0"; }

template <class T>
  requires requires(T const& value) { csv_field(value); }
[[nodiscard]] std::string csv_field(std::optional<T> const& value) {
  return value ? csv_field(*value) : std::string{};
}

/// Writes a table with a header line; the file appears with `commit`, complete or not at all.
class csv_writer {
 public:
  csv_writer(std::filesystem::path const& path, std::vector<std::string> const& columns)
      : file_{path}, columns_{columns.size()} {
    row_of(columns);
  }

  /// One line; a value per column: text, number, bool or an optional of these.
  /// throws     io_error with fault::internal for another number of values
  template <class... Value>
  void row(Value const&... values) {
    put(std::vector<std::string>{field(values)...});
  }
  /// The same for values in a list.
  void row_of(std::vector<std::string> const& values) {
    std::vector<std::string> fields;
    for (std::string const& value : values) fields.push_back(csv_field(std::string_view{value}));
    put(fields);
  }

  void commit() {
    file_.write(buffer_);
    buffer_.clear();
    file_.commit();
  }

 private:
  template <class T>
  [[nodiscard]] static std::string field(T const& value) {
    if constexpr (std::convertible_to<T const&, std::string_view>)
      return csv_field(std::string_view{value});
    else
      return csv_field(value);
  }

  void put(std::vector<std::string> const& fields) {
    if (fields.size() != columns_)
      throw io_error{"septum.csv.1",
                     detail::shown(file_.target()) + ": expected " + to_text(columns_) +
                         " fields in a row, found " + to_text(fields.size()),
                     fault::internal};
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (i > 0) buffer_ += ',';
      buffer_ += fields[i];
    }
    buffer_ += '\n';
    constexpr std::size_t enough = std::size_t{1} << 18U;
    if (buffer_.size() < enough) return;
    file_.write(buffer_);
    buffer_.clear();
  }

  atomic_file file_;
  std::size_t columns_;
  std::string buffer_;
};

/// What `csv_table` accepts.
struct csv_limits {
  std::size_t max_rows = 10'000'000;
  std::size_t max_line_bytes = 65536;
};

/// A CSV file in memory: a header line and rows of as many fields. Accepts a UTF-8 byte order mark,
/// LF and CRLF, quoted fields with line breaks, empty lines at the end.
class csv_table {
 public:
  /// throws     io_error that names the line: a damaged quote, another number of fields, a decimal
  ///            comma, another separator, a limit
  explicit csv_table(std::filesystem::path const& path, csv_limits const& limits = {})
      : csv_table{read_file(path), detail::shown(path), limits} {}

  csv_table(file_content content, std::string name, csv_limits const& limits = {})
      : name_{std::move(name)}, content_{std::move(content)} {
    constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
    rest_ = content_.text();
    if (rest_.starts_with("\xFF\xFE") || rest_.starts_with("\xFE\xFF"))
      throw io_error{"septum.csv.2",
                     name_ + ": expected UTF-8 text, found UTF-16; save it as UTF-8"};
    if (rest_.starts_with(byte_order_mark)) rest_.remove_prefix(byte_order_mark.size());
    std::size_t const width = read_row(limits);
    for (std::size_t i = 0; i < width; ++i) columns_.emplace_back(cells_[i]);
    cells_.clear();
    lines_.clear();
    if (width == 1 && columns_[0].find_first_of(";\t") != std::string::npos)
      throw io_error{"septum.csv.3", name_ + ": line 1: expected commas between fields, found '" +
                                         printable(columns_[0], 60) +
                                         "'; save it as comma-separated with a decimal point"};
    while (!rest_.empty()) {
      std::size_t const line = line_;
      std::size_t const found = read_row(limits);
      if (found == 1 && cells_.back().empty() && width != 1) {
        cells_.pop_back();
        lines_.pop_back();
        continue;
      }
      if (found != width)
        throw io_error{"septum.csv.4",
                       where(line) + ": expected " + to_text(width) + " fields, found " +
                           to_text(found) +
                           (found > width ? "; if numbers have a decimal comma, use a point" : "")};
      if (lines_.size() > limits.max_rows)
        throw io_error{"septum.csv.5",
                       name_ + ": expected at most " + to_text(limits.max_rows) + " rows"};
    }
  }

  csv_table(csv_table&&) = default;
  csv_table& operator=(csv_table&&) = default;

  [[nodiscard]] std::string const& name() const { return name_; }
  [[nodiscard]] std::vector<std::string> const& columns() const { return columns_; }
  [[nodiscard]] std::size_t rows() const { return lines_.size(); }
  /// Line in the file, counted from 1, where a row starts.
  [[nodiscard]] std::size_t line(std::size_t row) const { return lines_.at(row); }

  [[nodiscard]] std::optional<std::size_t> find_column(std::string_view column) const {
    auto const found = std::find(columns_.begin(), columns_.end(), column);
    if (found == columns_.end()) return std::nullopt;
    return static_cast<std::size_t>(found - columns_.begin());
  }
  /// throws     io_error that lists the columns there are
  [[nodiscard]] std::size_t column(std::string_view column) const {
    if (auto const found = find_column(column)) return *found;
    std::string list;
    for (std::string const& known : columns_)
      list += (list.empty() ? "" : ", ") + printable(known, 60);
    throw io_error{"septum.csv.6", name_ + ": expected a column '" + printable(column) +
                                       "', found " + printable(list)};
  }

  [[nodiscard]] std::string_view text(std::size_t row, std::size_t column) const {
    return cells_.at(row * columns_.size() + column);
  }
  /// throws     io_error that names line and column unless the whole field is a number of type T
  template <Number T>
  [[nodiscard]] T number(std::size_t row, std::size_t column) const {
    std::string_view const field = text(row, column);
    if (auto const value = parse_number<T>(field)) return *value;
    std::string const expected = std::integral<T> ? "a whole number" : "a number";
    throw io_error{"septum.csv.7",
                   where(line(row)) + ", column '" + printable(columns_.at(column), 60) +
                       "': expected " + expected + ", found '" + printable(field, 60) + "'" +
                       (field.find(',') != std::string_view::npos ? "; use a point" : "")};
  }

 private:
  [[nodiscard]] std::string where(std::size_t line) const {
    return name_ + ": line " + to_text(line);
  }

  /// Takes one row from the rest of the text and appends its fields; returns their number.
  std::size_t read_row(csv_limits const& limits) {
    std::size_t const line = line_;
    std::size_t const start = rest_.size();
    std::size_t count = 0;
    lines_.push_back(line);
    while (true) {
      cells_.push_back(rest_.starts_with('"') ? quoted_field(line, limits) : plain_field());
      ++count;
      if (start - rest_.size() > limits.max_line_bytes)
        throw io_error{"septum.csv.5", where(line) + ": expected at most " +
                                           to_text(limits.max_line_bytes) + " bytes in a line"};
      if (rest_.starts_with(',')) {
        rest_.remove_prefix(1);
        continue;
      }
      if (rest_.starts_with("\r\n")) rest_.remove_prefix(1);
      if (rest_.empty() || rest_.front() == '\n' || rest_.front() == '\r') {
        rest_.remove_prefix(std::min<std::size_t>(rest_.size(), 1));
        ++line_;
        return count;
      }
      throw io_error{"septum.csv.8", where(line) +
                                         ": expected a comma after a quoted field, found \"" +
                                         printable(rest_.substr(0, 12)) + "\""};
    }
  }

  [[nodiscard]] std::string_view plain_field() {
    std::size_t const length = std::min(rest_.size(), rest_.find_first_of(",\r\n"));
    std::string_view const field = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return field;
  }

  [[nodiscard]] std::string_view quoted_field(std::size_t line, csv_limits const& limits) {
    std::string text;
    rest_.remove_prefix(1);
    while (true) {
      std::size_t const length = rest_.find('"');
      if (length == std::string_view::npos || text.size() + length > limits.max_line_bytes)
        throw io_error{"septum.csv.8", where(line) + ": a quoted field does not end"};
      text += rest_.substr(0, length);
      line_ += static_cast<std::size_t>(
          std::count(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(length), '\n'));
      rest_.remove_prefix(length + 1);
      if (!rest_.starts_with('"')) break;
      text += '"';
      rest_.remove_prefix(1);
    }
    return unquoted_.emplace_back(std::move(text));
  }

  std::string name_;
  file_content content_;
  std::string_view rest_;
  std::size_t line_ = 1;
  std::vector<std::string> columns_;
  std::vector<std::string_view> cells_;  ///< into content_ or unquoted_, neither of which moves
  std::vector<std::size_t> lines_;
  std::deque<std::string> unquoted_;
};

}  // namespace septum::inline SEPTUM_ABI::io
