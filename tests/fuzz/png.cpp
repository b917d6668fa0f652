#include <septum/io/png.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz::try_parse(data, size, [](septum::io::file_content const& content) {
    auto const pixels = septum::io::detail::decode_png(content.bytes(), "input", 1U << 20U);
    static_cast<void>(septum::io::detail::png_image(pixels, "input"));
    static_cast<void>(septum::io::detail::png_labels(pixels, "input"));
  });
}
