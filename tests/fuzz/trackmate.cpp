#include <septum/io/trackmate.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz::try_parse(data, size, [](septum::io::file_content content) {
    static_cast<void>(septum::io::parse_trackmate(content.text(), "input"));
  });
}
