#include "../support/hdf5_writer.hpp"

#include <unistd.h>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <limits>
#include <septum/io/file.hpp>
#include <septum/io/keras.hpp>
#include <septum/net/parameters.hpp>
#include <septum/nn/feature_nets.hpp>
#include <septum/nn/variant_nets.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace io = septum::io;
namespace fs = std::filesystem;

/// A folder of its own for the files of one test.
struct temporary_folder {
  fs::path path = fs::temp_directory_path() / ("septum_keras_" + std::to_string(::getpid()));
  temporary_folder() { fs::create_directories(path); }
  temporary_folder(temporary_folder const&) = delete;
  temporary_folder& operator=(temporary_folder const&) = delete;
  ~temporary_folder() { fs::remove_all(path); }

  [[nodiscard]] fs::path write(std::string const& name, std::string const& bytes) const {
    io::write_file(path / name, bytes);
    return path / name;
  }
};

/// Makes the group of one layer; every value of tensor t is 1000 t + its index, scaled to be small
/// and exact in float.
struct net_maker {
  hdf5_node weights{};
  std::vector<std::string> names{};
  int tensors = 0;

  void layer(std::string const& name,
             std::vector<std::pair<std::string, std::vector<std::uint64_t>>> const& parts) {
    names.push_back(name);
    hdf5_node& group = weights.child(name);
    std::vector<std::string> tensor_names;
    for (auto const& [ending, extents] : parts) {
      tensor_names.push_back(name + ending);
      hdf5_node& tensor = group.child(tensor_names.back());
      tensor.extents = extents;
      std::size_t count = 1;
      for (std::uint64_t const extent : extents) count *= extent;
      for (std::size_t k = 0; k < count; ++k)
        tensor.values.push_back(static_cast<float>(1000 * tensors + static_cast<int>(k)) / 1024);
      ++tensors;
    }
    group.attributes.emplace_back("weight_names", tensor_names);
  }
  void convolution(int index, std::uint64_t from, std::uint64_t to, std::uint64_t side) {
    std::string const number = std::to_string(index);
    layer("convolution2d_" + number, {{"_W", {to, from, side, side}}, {"_b", {to}}});
  }
  void norm(int index, std::uint64_t width) {
    std::string const number = std::to_string(index);
    layer("batchnormalization_" + number, {{"_gamma", {width}},
                                           {"_beta", {width}},
                                           {"_running_mean", {width}},
                                           {"_running_std", {width}}});
    layer("activation_" + number, {});
  }
};

/// The 31x31 net as the files of 2016 hold it.
hdf5_node net_31(std::uint64_t channels = 1, std::uint64_t classes = 3) {
  net_maker net;
  net.convolution(1, channels, 32, 4);
  net.norm(1, 32);
  net.layer("maxpooling2d_1", {});
  net.convolution(2, 32, 64, 3);
  net.norm(2, 64);
  net.convolution(3, 64, 64, 3);
  net.norm(3, 64);
  net.layer("maxpooling2d_2", {});
  net.convolution(4, 64, 128, 3);
  net.norm(4, 128);
  net.convolution(5, 128, 200, 3);
  net.norm(5, 200);
  net.layer("flatten_1", {});
  net.layer("dense_1", {{"_W", {200, 200}}, {"_b", {200}}});
  net.norm(6, 200);
  net.layer("dense_2", {{"_W", {200, classes}}, {"_b", {classes}}});
  net.layer("activation_7", {});
  net.weights.attributes.emplace_back("layer_names", net.names);
  return net.weights;
}

/// The same as the files of 2017 hold it.
hdf5_node newer(hdf5_node weights, std::string const& version = "1.0.7",
                std::string const& config = "{}") {
  weights.name = "model_weights";
  hdf5_node root;
  root.attributes = {{"keras_version", {version}}, {"model_config", {config}}};
  root.children.push_back(std::move(weights));
  root.child("optimizer_weights")
      .attributes.emplace_back("weight_names", std::vector<std::string>{"w"});
  return root;
}

hdf5_node& tensor_of(hdf5_node& net, std::string const& layer, std::string const& ending) {
  return net.child(layer).child(layer + ending);
}

std::string refusal(fs::path const& path, io::keras_options const& options = {}) {
  try {
    static_cast<void>(io::read_keras(path, options));
  } catch (septum::error const& failure) {
    return failure.what();
  }
  return {};
}

float const* slice(septum::model const& read, std::string_view name, std::size_t set = 0) {
  for (auto const& tensor : read.layout)
    if (tensor.name == name) return read.parameter_sets.at(set).data() + tensor.offset;
  return nullptr;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(keras)

BOOST_AUTO_TEST_CASE(describes_the_net_as_its_type_does) {
  temporary_folder const folder;
  auto const read = io::read_keras(folder.write("a.h5", hdf5_writer::file_of(net_31())));
  using net = septum::bn_feature_net_31x31<1, 3>;
  BOOST_TEST(read.description.architecture == "bn_feature_net_31x31");
  BOOST_TEST(read.description.signature == net::signature);
  BOOST_TEST(read.description.receptive_field == 31);
  BOOST_TEST(read.description.normalizer_window == 31);
  BOOST_TEST(read.description.channels == std::vector<std::string>{"phase"},
             boost::test_tools::per_element());
  BOOST_TEST(
      (read.description.classes == std::vector<std::string>{"edge", "interior", "background"}));
  BOOST_TEST((read.layout == septum::tensor_layout<net>()));
  BOOST_TEST(read.parameter_sets.size() == 1U);
  BOOST_TEST(read.parameter_sets[0].size() == net::parameter_count);
}

// The nets without batch norm have dropout layers, which do nothing in a prediction.
BOOST_AUTO_TEST_CASE(nets_without_batch_norm) {
  net_maker plain;
  int activations = 0;
  auto const activation = [&] { plain.layer("activation_" + std::to_string(++activations), {}); };
  std::uint64_t from = 2;
  std::uint64_t const widths[] = {64, 64, 64, 64, 64, 64, 200};
  for (int k = 1; k <= 7; ++k) {
    plain.convolution(k, from, widths[k - 1], k == 2 || k == 7 ? 4 : 3);
    from = widths[k - 1];
    activation();
    if (k % 2 == 0) plain.layer("maxpooling2d_" + std::to_string(k / 2), {});
  }
  plain.layer("flatten_1", {});
  plain.layer("dropout_1", {});
  plain.layer("dense_1", {{"_W", {200, 200}}, {"_b", {200}}});
  activation();
  plain.layer("dense_2", {{"_W", {200, 3}}, {"_b", {3}}});
  activation();
  plain.weights.attributes.emplace_back("layer_names", plain.names);
  temporary_folder const folder;
  auto const read = io::read_keras(folder.write("a.h5", hdf5_writer::file_of(plain.weights)));
  using net = septum::feature_net_61x61<2, 3>;
  BOOST_TEST(read.description.architecture == "feature_net_61x61");
  BOOST_TEST(read.description.signature == net::signature);
  BOOST_TEST((read.layout == septum::tensor_layout<net>()));
  BOOST_TEST(read.parameter_sets[0].size() == 460331U);
}

BOOST_AUTO_TEST_CASE(any_number_of_channels_and_classes) {
  temporary_folder const folder;
  auto const read = io::read_keras(folder.write("a.h5", hdf5_writer::file_of(net_31(5, 4))),
                                   {.classes = {"edge", "a", "b", "background"}});
  using net = septum::bn_feature_net_31x31<5, 4>;
  BOOST_TEST(read.description.signature == net::signature);
  BOOST_TEST((read.layout == septum::tensor_layout<net>()));
  BOOST_TEST(read.parameter_sets[0].size() == net::parameter_count);
  BOOST_TEST(read.description.channels.size() == 5U);
  BOOST_TEST(read.description.classes[1] == "a");
}

BOOST_AUTO_TEST_CASE(kernels_are_turned_and_channels_last) {
  temporary_folder const folder;
  auto const read = io::read_keras(folder.write("a.h5", hdf5_writer::file_of(net_31(2))));
  // Tensor 6 is convolution2d_2_W of 64 filters, 32 channels, 3x3.
  float const* const weights = slice(read, "conv1.weight");
  for (int f : {0, 7, 63})
    for (int r = 0; r < 3; ++r)
      for (int c = 0; c < 3; ++c)
        for (int i : {0, 5, 31}) {
          int const stored = ((f * 32 + i) * 3 + (2 - r)) * 3 + (2 - c);
          BOOST_TEST(weights[((f * 3 + r) * 3 + c) * 32 + i] ==
                     static_cast<float>(6000 + stored) / 1024);
        }
  BOOST_TEST(slice(read, "conv1.bias")[63] == 7063.F / 1024);
}

BOOST_AUTO_TEST_CASE(dense_weights_are_transposed) {
  temporary_folder const folder;
  auto const read = io::read_keras(folder.write("a.h5", hdf5_writer::file_of(net_31())));
  float const* const weights = slice(read, "dense1.weight");  // tensor 36: 200 inputs, 3 units
  for (int unit = 0; unit < 3; ++unit)
    for (int input : {0, 1, 199})
      BOOST_TEST(weights[unit * 200 + input] ==
                 static_cast<float>(36000 + input * 3 + unit) / 1024);
}

BOOST_AUTO_TEST_CASE(statistics_follow_the_version_or_the_caller) {
  temporary_folder const folder;
  auto const old_file = folder.write("old.h5", hdf5_writer::file_of(net_31()));
  auto const new_file = folder.write("new.h5", hdf5_writer::file_of(newer(net_31())));
  // Tensor 5 is batchnormalization_1_running_std.
  float const stored = 5003.F / 1024;
  float const root = std::sqrt(stored);
  auto const value_of = [](septum::model const& read) {
    return slice(read, "batch_norm0.running_deviation")[3];
  };
  BOOST_TEST(value_of(io::read_keras(old_file)) == stored);
  BOOST_TEST(value_of(io::read_keras(new_file)) == root);
  BOOST_TEST(value_of(io::read_keras(old_file, {.statistics = io::statistics_rule::variance})) ==
             root);
  BOOST_TEST(value_of(io::read_keras(new_file, {.statistics = io::statistics_rule::deviation})) ==
             stored);
}

// Later releases of Keras 1 add epsilon inside the root: y = (x - m) gamma / sqrt(v + e).
BOOST_AUTO_TEST_CASE(epsilon_of_later_versions) {
  temporary_folder const folder;
  std::string const config =
      R"({"config": [{"class_name": "BatchNormalization", "config": {"epsilon": 0.001}}]})";
  auto const read =
      io::read_keras(folder.write("a.h5", hdf5_writer::file_of(newer(net_31(), "1.2.2", config))));
  double const stored = 5003.0 / 1024;
  double const divisor =
      static_cast<double>(slice(read, "batch_norm0.running_deviation")[3]) + 1e-6;
  BOOST_TEST(divisor == std::sqrt(stored + 0.001), boost::test_tools::tolerance(1e-7));
  BOOST_TEST(refusal(folder.write("b.h5", hdf5_writer::file_of(newer(net_31(), "1.2.2"))))
                 .find("epsilon") != std::string::npos);
  BOOST_TEST(refusal(folder.write("c.h5", hdf5_writer::file_of(newer(net_31(), "2.0.1"))))
                 .find("keras_version 2.0.1") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(several_files_are_an_ensemble) {
  temporary_folder const folder;
  hdf5_node second = net_31();
  tensor_of(second, "dense_2", "_b").values = {1, 2, 3};
  std::vector<fs::path> const files{folder.write("a.h5", hdf5_writer::file_of(net_31())),
                                    folder.write("b.h5", hdf5_writer::file_of(second))};
  auto const read = io::read_keras(files);
  BOOST_TEST(read.parameter_sets.size() == 2U);
  BOOST_TEST(slice(read, "dense1.bias", 1)[2] == 3.F);
  BOOST_TEST(slice(read, "dense1.bias", 0)[2] == 37002.F / 1024);
  BOOST_TEST(read.description.provenance.at("net_1.file") == "b.h5");
  std::vector<fs::path> const mixed{files[0],
                                    folder.write("c.h5", hdf5_writer::file_of(net_31(2)))};
  BOOST_CHECK_EXCEPTION(static_cast<void>(io::read_keras(mixed)), septum::weights_error,
                        [](septum::error const& failure) {
                          return std::string_view{failure.what()}.find(
                                     "c.h5: expected the net of") != std::string_view::npos;
                        });
  BOOST_CHECK_THROW(static_cast<void>(io::read_keras(std::span<fs::path const>{})),
                    septum::unsupported_error);
}

BOOST_AUTO_TEST_CASE(foreign_and_incomplete_files_are_refused_by_name) {
  struct change {
    std::function<void(hdf5_node&)> make;
    std::string_view message;
  };
  auto const drop = [](hdf5_node& net, std::string const& name) {
    std::erase_if(net.children, [&](hdf5_node const& child) { return child.name == name; });
  };
  auto const drop_layer = [&](hdf5_node& net, std::string const& name) {
    drop(net, name);
    for (auto& [attribute, values] : net.attributes)
      if (attribute == "layer_names") std::erase(values, name);
  };
  std::vector<change> const changes{
      {[&](hdf5_node& net) { drop(net, "dense_1"); },
       "layer dense_1: expected a group, found none"},
      {[&](hdf5_node& net) { drop_layer(net, "batchnormalization_3"); },
       "after layer convolution2d_3: expected batch_norm as in bn_feature_net_31x31, found "
       "activation_3"},
      {[&](hdf5_node& net) { drop_layer(net, "maxpooling2d_2"); },
       "expected max_pool as in bn_feature_net_31x31, found convolution2d_4"},
      {[&](hdf5_node& net) { drop_layer(net, "activation_7"); }, "expected softmax"},
      {[&](hdf5_node& net) { drop(net.child("dense_2"), "dense_2_b"); },
       "layer dense_2: expected 2 tensors, found 2 names and 1 tensors"},
      {[](hdf5_node& net) { net.child("dense_2").child("dense_2_x").extents = {0}; },
       "layer dense_2: expected 2 tensors"},
      {[](hdf5_node& net) { net.child("convolution2d_2").children[0].name = "other_W"; },
       "expected the tensor convolution2d_2_W, found none"},
      {[](hdf5_node& net) { net.child("lstm_1"); }, "only the layers of layer_names, found lstm_1"},
      {[](hdf5_node& net) {
         net.child("lstm_1").attributes.emplace_back("weight_names", std::vector<std::string>{"w"});
         net.attributes[0].second.emplace_back("lstm_1");
       },
       "layer lstm_1: expected convolution2d"},
      {[](hdf5_node& net) { net.attributes.clear(); }, "found no attribute layer_names"},
      {[](hdf5_node& net) {
         tensor_of(net, "convolution2d_2", "_W").extents = {64, 32, 9, 1};
       },
       "tensor convolution2d_2_W: expected (64, 32, 3, 3), found (64, 32, 9, 1)"},
      {[](hdf5_node& net) {
         tensor_of(net, "dense_1", "_b").values[7] = std::numeric_limits<float>::quiet_NaN();
       },
       "tensor dense_1_b: expected finite values"},
      {[](hdf5_node& net) {
         tensor_of(net, "batchnormalization_4", "_running_std").values[7] = -1.F;
       },
       "tensor batchnormalization_4_running_std: expected values of at least 0, found -1"}};
  temporary_folder const folder;
  for (change const& each : changes) {
    hdf5_node net = net_31();
    each.make(net);
    std::string const found = refusal(folder.write("net.h5", hdf5_writer::file_of(net)));
    BOOST_TEST(found.find(each.message) != std::string::npos,
               "\"" << found << "\" has \"" << each.message << "\"");
    BOOST_TEST(found.find("net.h5: ") != std::string::npos);
  }
  BOOST_TEST(refusal(folder.path / "absent.h5").find("absent.h5") != std::string::npos);
  auto const good = folder.write("good.h5", hdf5_writer::file_of(net_31()));
  BOOST_TEST(refusal(good).empty());
  BOOST_TEST(
      refusal(good, {.channels = {"a", "b"}}).find("expected names of 1 channels, found 2") !=
      std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
