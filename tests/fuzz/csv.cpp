#include <septum/io/csv.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz::try_parse(data, size, [](septum::io::file_content content) {
    septum::io::csv_table const table{std::move(content), "input"};
    for (std::size_t row = 0; row < table.rows(); ++row)
      static_cast<void>(table.number<double>(row, table.columns().size() - 1));
  });
}
