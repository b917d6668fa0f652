#pragma once
#include <septum/core/error.hpp>
#include <septum/io/file.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

/// What every fuzz target shares: any bytes give a result or a septum::error, never anything else.
namespace fuzz {

template <class Parse>
int try_parse(std::uint8_t const* data, std::size_t size, Parse const& parse) {
  if (size == 0) return 0;  // read_file refuses empty files
  auto bytes = std::make_unique<std::byte[]>(size);
  std::memcpy(bytes.get(), data, size);
  try {
    parse(septum::io::file_content{std::move(bytes), size});
  } catch (septum::error const&) {
    return 0;
  }
  return 0;
}

}  // namespace fuzz
