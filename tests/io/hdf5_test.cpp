#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <iterator>
#include <septum/io/detail/hdf5_file.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

#include "../golden/hdf5_golden.inc"

namespace io = septum::io;
using io::detail::hdf5_group;

int digit_of(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

template <std::size_t N>
std::string file_of(golden_piece const (&pieces)[N]) {
  std::string bytes(pieces[0].offset, '\0');
  for (golden_piece const& piece : std::span{pieces}.subspan(1))
    for (std::size_t k = 0; k + 1 < piece.bytes.size(); k += 2)
      bytes[piece.offset + k / 2] =
          static_cast<char>(16 * digit_of(piece.bytes[k]) + digit_of(piece.bytes[k + 1]));
  return bytes;
}

hdf5_group parse(std::string const& bytes, std::string_view skip = {},
                 io::detail::hdf5_limits limits = {}) {
  return io::detail::hdf5_parser{"net.h5", std::as_bytes(std::span{bytes}), skip, limits}.parse();
}

/// The message of the refusal; empty when the file is taken.
std::string refusal(std::string const& bytes) {
  try {
    static_cast<void>(parse(bytes));
  } catch (septum::io_error const& failure) {
    return failure.what();
  }
  return {};
}

bool mentions(std::string const& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(hdf5)

BOOST_AUTO_TEST_CASE(reads_what_h5py_reads) {
  std::string const bytes = file_of(weights_h5);
  hdf5_group const root = parse(bytes);
  BOOST_TEST(root.groups.size() == 12U);
  BOOST_TEST(root.datasets.empty());
  auto const& names = root.attributes.at("layer_names");
  BOOST_TEST(names.size() == 12U);
  BOOST_TEST(names[0] == "layer_0");
  BOOST_TEST(names[11] == "layer_11");
  BOOST_TEST(root.attributes.at("keras_version") == std::vector<std::string>{"1.0.7"},
             boost::test_tools::per_element());
  BOOST_TEST(root.attributes.at("epoch").empty());
  std::vector<float> values;
  for (auto const& [name, group] : root.groups)
    for (auto const& [tensor, data] : group.datasets) {
      BOOST_TEST(tensor == name + "_W");
      BOOST_TEST(data.extents.size() == 2U);
      auto const own = data.values();
      values.insert(values.end(), own.begin(), own.end());
    }
  BOOST_TEST(
      values == std::vector<float>(std::begin(weights_h5_values), std::end(weights_h5_values)),
      boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(skipped_children_are_not_looked_at) {
  std::string const bytes = file_of(weights_h5);
  BOOST_TEST(!parse(bytes, "layer_3").groups.contains("layer_3"));
  BOOST_TEST(parse(file_of(soft_link_h5), "x").datasets.empty());
}

BOOST_AUTO_TEST_CASE(refuses_what_is_outside_the_dialect_by_name) {
  struct wanted {
    std::string file;
    std::string_view message;
  };
  for (auto const& [file, message] : std::vector<wanted>{
           {file_of(chunked_h5), "object /x: expected contiguous data, found chunked data"},
           {file_of(filtered_h5), "object /x: expected data without filters"},
           {file_of(double_h5), "object /x: expected little-endian 32-bit floats"},
           {file_of(big_endian_h5), "object /x: expected little-endian 32-bit floats"},
           {file_of(soft_link_h5), "object /x: expected an object inside the file, found a link"},
           {file_of(external_link_h5),
            "object /: expected a group with a symbol table, found links"},
           {file_of(external_data_h5), "object /x: expected data inside the file"},
           {file_of(newer_groups_h5), "expected superblock version 0"},
           {file_of(virtual_h5), "expected superblock version 0"},
           {file_of(hard_link_h5), "referred to twice"},
           {file_of(cycle_h5), "object /a/up: expected a tree"},
           {file_of(deep_h5), "expected at most 16 nested groups"},
           {"PK\x03\x04 something else", "expected an HDF5 file, found one that starts with"},
           {"", "expected an HDF5 file"}}) {
    std::string const found = refusal(file);
    BOOST_TEST(mentions(found, message), "\"" << found << "\" has \"" << message << "\"");
    BOOST_TEST(mentions(found, "net.h5: "));
  }
}

BOOST_AUTO_TEST_CASE(limits_are_kept) {
  std::string const bytes = file_of(weights_h5);
  BOOST_CHECK_THROW(static_cast<void>(parse(bytes, {}, {.max_objects = 10})), septum::io_error);
  BOOST_CHECK_THROW(static_cast<void>(parse(file_of(deep_h5), {}, {.max_depth = 19})),
                    septum::io_error);
  BOOST_CHECK_NO_THROW(static_cast<void>(parse(file_of(deep_h5), {}, {.max_depth = 21})));
}

BOOST_AUTO_TEST_CASE(a_file_cut_at_any_length_is_refused) {
  std::string const bytes = file_of(weights_h5);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    if (refusal(bytes.substr(0, size)).empty()) BOOST_ERROR("taken when cut at " << size);
}

// Every byte in turn set to 0, 255, and with its lowest and highest bit flipped: an error of ours
// or a result, never another exception, a hang or (under a sanitizer) a bad access.
BOOST_AUTO_TEST_CASE(any_changed_byte_is_survived) {
  std::string bytes = file_of(weights_h5);
  std::size_t refused = 0;
  for (char& byte : bytes) {
    auto const old = static_cast<unsigned char>(byte);
    for (unsigned const value : {0U, 255U, old ^ 1U, old ^ 0x80U}) {
      byte = static_cast<char>(value);
      refused += refusal(bytes).empty() ? 0 : 1;
    }
    byte = static_cast<char>(old);
  }
  BOOST_TEST(refused > bytes.size() / 50);
}

BOOST_AUTO_TEST_SUITE_END()
