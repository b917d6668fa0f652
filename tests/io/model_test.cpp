#include <septum/io/checkpoint.hpp>
#include <septum/io/model.hpp>
#include <support/hostile.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace io = septum::io;
namespace sp = septum;
namespace fs = std::filesystem;

namespace {

struct tiny_net : sp::stack<sp::input<1>, sp::conv<2, 3>, sp::relu, sp::dense<3>, sp::softmax> {};
struct other_net : sp::stack<sp::input<2>, sp::conv<2, 3>, sp::relu, sp::dense<3>, sp::softmax> {};

sp::model small_model(std::size_t nets = 2) {
  sp::model result;
  result.description = {.architecture = "tiny_net",
                        .signature = tiny_net::signature,
                        .receptive_field = 3,
                        .channels = {"phase \"contrast\""},
                        .classes = {"edge", "interior", "background"},
                        .normalizer = "median_box",
                        .normalizer_window = 31,
                        .pixel_size_um = 0.1,
                        .provenance = {{"data", "a\nb"}, {"seed", "7"}}};
  result.layout = sp::tensor_layout<tiny_net>();
  for (std::size_t net = 0; net < nets; ++net) {
    std::vector<float> values(tiny_net::parameter_count);
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = std::sin(static_cast<float>(i + 100 * net)) / 3.0F;
    result.parameter_sets.push_back(values);
  }
  return result;
}

/// A safetensors file without any checksum, as other programs write them.
std::string plain_file(std::string header, std::string const& data) {
  std::uint64_t const length = header.size();
  std::string lead(8, '\0');
  std::memcpy(lead.data(), &length, 8);
  return lead + header + data;
}

/// What reading a file with this header and data says.
std::string message_for(std::string const& header, std::string const& data) {
  test::temporary_folder const folder;
  test::spill(folder / "m", plain_file(header, data));
  return test::message_of([&] { static_cast<void>(io::detail::safetensors_file{folder / "m"}); });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(models)

BOOST_AUTO_TEST_CASE(a_model_comes_back_bit_for_bit) {
  test::temporary_folder const folder;
  sp::model const written = small_model();
  io::write_model(folder / "m.safetensors", written);
  BOOST_TEST((io::read_model(folder / "m.safetensors") == written));
  BOOST_TEST((io::read_model<tiny_net>(folder / "m.safetensors", 2) == written));
  io::write_model(folder / "again.safetensors", written);
  BOOST_TEST((test::slurp(folder / "m.safetensors") == test::slurp(folder / "again.safetensors")));
  std::string const bytes = test::slurp(folder / "m.safetensors");
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  BOOST_TEST(length % 8 == 0U);
  BOOST_TEST(bytes.size() == 8 + length + 2 * tiny_net::parameter_count * sizeof(float));
}

BOOST_AUTO_TEST_CASE(another_net_is_refused_tensor_by_tensor) {
  test::temporary_folder const folder;
  io::write_model(folder / "m", small_model());
  std::string const message =
      test::message_of([&] { static_cast<void>(io::read_model<other_net>(folder / "m")); });
  BOOST_TEST(test::contains(message, "trained for another net ('tiny_net')"));
  BOOST_TEST(test::contains(message, "expected [2, 3, 3, 2], found [2, 3, 3, 1]"));
  BOOST_TEST(test::contains(message, "signature expected"));
  BOOST_TEST(test::contains(
      test::message_of([&] { static_cast<void>(io::read_model<tiny_net>(folder / "m", 5)); }),
      "expected 5 nets, found 2"));
  auto layout = sp::tensor_layout<tiny_net>();
  layout.pop_back();
  layout.front().name = "other";
  std::string const names =
      test::message_of([&] { io::require_model_for(small_model(), layout, tiny_net::signature); });
  BOOST_TEST(test::contains(names, "'other' [2, 3, 3, 1] is missing"));
  BOOST_TEST(test::contains(names, "is not expected"));
}

BOOST_AUTO_TEST_CASE(values_that_are_no_numbers_are_refused) {
  test::temporary_folder const folder;
  sp::model spoiled = small_model();
  spoiled.parameter_sets[1][3] = std::numeric_limits<float>::infinity();
  BOOST_TEST(test::contains(test::message_of([&] { io::write_model(folder / "m", spoiled); }),
                            "net 1, tensor '" + spoiled.layout[0].name +
                                "', value 3: expected a finite number, found inf"));
  BOOST_TEST(folder.names().empty());
  spoiled = small_model();
  spoiled.parameter_sets[1].pop_back();
  BOOST_CHECK_THROW(io::write_model(folder / "m", spoiled), sp::weights_error);
  spoiled = small_model();
  spoiled.layout[1].name = spoiled.layout[0].name;
  BOOST_CHECK_THROW(io::write_model(folder / "m", spoiled), sp::weights_error);
}

BOOST_AUTO_TEST_CASE(every_cut_and_every_changed_byte) {
  test::temporary_folder const folder;
  sp::model const written = small_model(1);
  io::write_model(folder / "m", written);
  std::string const bytes = test::slurp(folder / "m");
  test::for_each_damage(bytes, [&](std::string const& damaged, std::size_t position, bool) {
    test::spill(folder / "damaged", damaged);
    try {
      static_cast<void>(io::read_model(folder / "damaged"));
      BOOST_ERROR("a change at byte " << position << " went unnoticed");
    } catch (sp::error const& failure) {
      BOOST_TEST(test::names_file(failure, "damaged"));
    }
  });
}

BOOST_AUTO_TEST_CASE(headers_that_lie) {
  std::string const one = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  BOOST_TEST(message_for(one, "12345678").empty());
  BOOST_TEST(test::contains(message_for(one, "1234567"), "cut short or damaged"));
  BOOST_TEST(test::contains(message_for(one, "123456789"), "expected 8 bytes of tensors, found 9"));
  auto const with = [](std::string const& tensor) {
    return message_for("{\"a\":" + tensor + "}", "12345678");
  };
  BOOST_TEST(test::contains(with(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"),
                            "expected 12 bytes"));
  BOOST_TEST(test::contains(with(R"({"dtype":"F9","shape":[2],"data_offsets":[0,8]})"),
                            "dtype, found 'F9'"));
  BOOST_TEST(
      test::contains(with(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"), "two ascending"));
  BOOST_TEST(
      test::contains(with(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})"), "leave a hole"));
  BOOST_TEST(test::contains(
      with(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]})"),
      "larger than any file"));
  BOOST_TEST(test::contains(with(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"),
                            "a negative number"));
  BOOST_TEST(
      test::contains(with(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})"), "a fraction"));
  BOOST_TEST(
      test::contains(with(R"({"dtype":"F32","shape":[[2]],"data_offsets":[0,8]})"), "a list"));
  BOOST_TEST(
      test::contains(with(R"({"dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]})"),
                     "more than 8 axes"));
  BOOST_TEST(test::contains(with(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"file":"x"})"),
                            "'file'"));
  BOOST_TEST(test::contains(
      with(R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})"), "'dtype' twice"));
  BOOST_TEST(test::contains(with("null"), "null"));
  BOOST_TEST(test::contains(message_for(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                        R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                                        "12345678"),
                            "'a' twice"));
  BOOST_TEST(test::contains(message_for(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                                        R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                                        "12345678"),
                            "overlap"));
  BOOST_TEST(test::contains(message_for("{]", ""), "expected JSON"));
  BOOST_TEST(test::contains(message_for("[1]", ""), "not JSON"));
  BOOST_TEST(
      test::contains(message_for(std::string(2 << 20, ' '), ""), "a header of 2 to 1048576 bytes"));
  std::string many = "{";
  for (int i = 0; i < 5000; ++i)
    many += (i == 0 ? "\"" : ",\"") + std::to_string(i) +
            R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  BOOST_TEST(test::contains(message_for(many + "}", ""), "more than 4096 tensors"));
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "[";
  BOOST_TEST(!message_for("{\"a\":" + deep, "").empty());
}

BOOST_AUTO_TEST_CASE(metadata_of_others_is_refused) {
  test::temporary_folder const folder;
  auto const message_with = [&](std::string const& metadata) {
    test::spill(folder / "m",
                plain_file(R"({"__metadata__":{)" + metadata +
                               R"(},"net0.a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                           std::string("\0\0\x80\x3F", 4)));
    return test::message_of([&] { static_cast<void>(io::read_model(folder / "m")); });
  };
  std::string const whole =
      R"("format":"septum-model","format_version":"1","architecture":"x","signature":"00000000000000ff",)"
      R"("receptive_field":"31","channels":"[\"phase\"]","classes":"[\"edge\"]","normalizer":"none",)"
      R"("normalizer_window":"0","pixel_size_um":"0")";
  // Checksums are for damage; a file made by hand may do without.
  BOOST_TEST(message_with(whole).empty());
  auto const changed = [&](std::string const& from, std::string const& to) {
    std::string text = whole;
    text.replace(text.find(from), from.size(), to);
    return message_with(text);
  };
  BOOST_TEST(test::contains(message_with(""), "not a septum model?"));
  BOOST_TEST(
      test::contains(changed("septum-model", "other"), "expected septum-model, found 'other'"));
  BOOST_TEST(test::contains(changed("\"1\"", "\"2\""), "written by a newer septum"));
  BOOST_TEST(test::contains(changed("ff", "f"), "16 hexadecimal digits"));
  BOOST_TEST(test::contains(changed("31", "0"), "a number from 1"));
  BOOST_TEST(test::contains(changed("31", "3,1"), "a number from 1, found '3,1'"));
  BOOST_TEST(test::contains(changed(R"([\"phase\"])", "phase"), "a JSON list"));
  BOOST_TEST(test::contains(changed(R"([\"phase\"])", "[1]"), "a JSON list"));
  BOOST_TEST(
      test::contains(changed("normalizer_window", "normaliser_window"), "'normalizer_window'"));
  BOOST_TEST(test::contains(message_with(whole + R"(,"colour":"red")"), "unknown key 'colour'"));
}

BOOST_AUTO_TEST_CASE(every_failing_call_leaves_a_whole_model) {
  test::temporary_folder const folder;
  io::write_model(folder / "m", small_model());
  std::string const whole = test::slurp(folder / "m");
  test::fail_each_call(
      ENOSPC,
      [&] {
        test::spill(folder / "m", "old");
        io::write_model(folder / "m", small_model());
      },
      [&](bool succeeded) {
        std::string const now = test::slurp(folder / "m");
        BOOST_TEST((now == whole || (!succeeded && now == "old")));
      });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(checkpoints)

namespace {
io::checkpoint small_checkpoint(float first) {
  io::checkpoint state;
  state.texts["net"] = "tiny \xCE\xB1\n";
  state.floats["parameters"] = {first, std::nanf(""), -0.0F,
                                std::numeric_limits<float>::denorm_min()};
  state.doubles["loss"] = {0.1, std::numeric_limits<double>::infinity()};
  state.doubles["empty"] = {};
  state.integers["epoch"] = {std::numeric_limits<std::int64_t>::min(), 3};
  return state;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_checkpoint_comes_back_bit_for_bit) {
  test::temporary_folder const folder;
  io::write_checkpoint(folder / "c", small_checkpoint(1.0F));
  auto const back = io::read_checkpoint(folder / "c");
  auto const expected = small_checkpoint(1.0F);
  BOOST_TEST((back.texts == expected.texts));
  BOOST_TEST((back.doubles == expected.doubles));
  BOOST_TEST((back.integers == expected.integers));
  BOOST_TEST(std::memcmp(back.floats.at("parameters").data(),
                         expected.floats.at("parameters").data(), 16) == 0);
}

BOOST_AUTO_TEST_CASE(two_generations_are_kept) {
  test::temporary_folder const folder;
  for (float const generation : {1.0F, 2.0F, 3.0F})
    io::write_checkpoint(folder / "c", small_checkpoint(generation));
  BOOST_TEST(io::read_checkpoint(folder / "c").floats.at("parameters")[0] == 3.0F);
  BOOST_TEST(
      io::read_checkpoint(io::previous_checkpoint(folder / "c")).floats.at("parameters")[0] ==
      2.0F);
  BOOST_TEST(folder.names().size() == 2U);
}

BOOST_AUTO_TEST_CASE(damage_is_named_and_the_previous_one_offered) {
  test::temporary_folder const folder;
  io::write_checkpoint(folder / "c", small_checkpoint(1.0F));
  io::write_checkpoint(folder / "c", small_checkpoint(2.0F));
  std::string bytes = test::slurp(folder / "c");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  test::spill(folder / "c", bytes);
  std::string const message =
      test::message_of([&] { static_cast<void>(io::read_checkpoint(folder / "c")); });
  BOOST_TEST(test::contains(message, "tensor 'F32.parameters': expected the checksum"));
  BOOST_TEST(test::contains(message, "c.previous: rename it"));
  test::spill(folder / "c", "");
  BOOST_TEST(test::contains(
      test::message_of([&] { static_cast<void>(io::read_checkpoint(folder / "c")); }),
      "empty file"));
}

BOOST_AUTO_TEST_CASE(every_cut_and_every_changed_byte_of_a_checkpoint) {
  test::temporary_folder const folder;
  io::write_checkpoint(folder / "c", small_checkpoint(1.0F));
  std::string const bytes = test::slurp(folder / "c");
  test::for_each_damage(bytes, [&](std::string const& damaged, std::size_t position, bool) {
    test::spill(folder / "damaged", damaged);
    try {
      static_cast<void>(io::read_checkpoint(folder / "damaged"));
      BOOST_ERROR("a change at byte " << position << " went unnoticed");
    } catch (sp::io_error const& failure) {
      BOOST_TEST(test::names_file(failure, "damaged"));
    }
  });
}

BOOST_AUTO_TEST_CASE(every_failing_call_leaves_a_whole_checkpoint) {
  test::temporary_folder const folder;
  for (int const code : {ENOSPC, EIO})
    test::fail_each_call(
        code,
        [&] {
          {
            io::observe_system_calls const undisturbed{
                [](io::system_call, fs::path const&) { return io::call_verdict{}; }};
            io::write_checkpoint(folder / "c", small_checkpoint(1.0F));
          }
          io::write_checkpoint(folder / "c", small_checkpoint(2.0F));
        },
        [&](bool succeeded) {
          float const latest = io::read_checkpoint(folder / "c").floats.at("parameters")[0];
          BOOST_TEST((latest == 2.0F || (!succeeded && latest == 1.0F)));
          BOOST_TEST(folder.names().size() <= 2U);
        });
}

BOOST_AUTO_TEST_CASE(other_files_are_no_checkpoints) {
  test::temporary_folder const folder;
  io::write_model(folder / "m", small_model());
  BOOST_TEST(test::contains(
      test::message_of([&] { static_cast<void>(io::read_checkpoint(folder / "m")); }),
      "not a checkpoint"));
  io::write_checkpoint(folder / "c", small_checkpoint(1.0F));
  BOOST_CHECK_THROW(static_cast<void>(io::read_model(folder / "c")), sp::io_error);
}

BOOST_AUTO_TEST_SUITE_END()
