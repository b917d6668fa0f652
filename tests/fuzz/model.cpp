#include <septum/io/model.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz::try_parse(data, size, [](septum::io::file_content content) {
    static_cast<void>(septum::io::read_model(std::move(content), "input"));
  });
}
