#include <septum/io/image.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz::try_parse(data, size, [](septum::io::file_content const& content) {
    static_cast<void>(septum::io::detail::npy_image(content, "input"));
    static_cast<void>(septum::io::detail::npy_labels(content, "input"));
  });
}
