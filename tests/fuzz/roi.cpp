#include <septum/io/roi_set.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz::try_parse(data, size, [](septum::io::file_content const& content) {
    septum::io::roi_set set;
    set.areas.push_back(septum::io::decode_roi(content.bytes(), "input"));
    static_cast<void>(septum::io::paint_areas(set, 64, 64, "input"));
  });
}
