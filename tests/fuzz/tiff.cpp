#include <septum/io/tiff.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz::try_parse(data, size, [](septum::io::file_content content) {
    // Small limits keep each run short; the checks are the same.
    septum::io::tiff_limits const limits{
        .max_pixels_per_page = 1U << 20U, .max_pages = 64, .max_decoded_bytes = 1U << 24U};
    septum::io::tiff_reader const file{std::move(content), "input", limits};
    static_cast<void>(file.pixel_size_um());
    static_cast<void>(file.read(0));
    static_cast<void>(file.read_labels(file.size() - 1));
  });
}
