#include <septum/io/npz.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz::try_parse(data, size, [](septum::io::file_content const& content) {
    septum::io::detail::zip_reader const archive{
        content.bytes(), "input", {.max_members = 64, .max_bytes = 1U << 24U}};
    for (auto const& member : archive.members()) {
      auto const inside = archive.read(member);
      static_cast<void>(septum::io::read_npy_header(inside.bytes(), "input"));
    }
  });
}
