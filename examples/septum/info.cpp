#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <septum/backend/onednn.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/annotation.hpp>
#include <septum/io/image.hpp>
#include <septum/io/model.hpp>
#include <septum/io/tiff.hpp>
#include <septum/version.hpp>
#include <string>
#include <thread>

#include "nets.hpp"
#include "options.hpp"

namespace program {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

struct arguments {
  fs::path subject;
};

std::vector<std::string> processor_features() {
  std::vector<std::string> names;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) names.emplace_back("avx2");
  if (__builtin_cpu_supports("fma")) names.emplace_back("fma");
  if (__builtin_cpu_supports("avx512f")) names.emplace_back("avx512f");
#endif
  return names;
}

json describe_build() {
  auto const* const library = dnnl_version();
  return {
      {"septum", std::to_string(SEPTUM_VERSION_MAJOR) + "." + std::to_string(SEPTUM_VERSION_MINOR) +
                     "." + std::to_string(SEPTUM_VERSION_PATCH)},
      {"compiler", __VERSION__},
      {"backends", {"onednn", "eigen", "reference"}},
      {"onednn", std::to_string(library->major) + "." + std::to_string(library->minor) + "." +
                     std::to_string(library->patch)},
      {"processors", std::thread::hardware_concurrency()},
      {"processor_features", processor_features()},
      {"nets", net_names()}};
}

json describe_model(fs::path const& path) {
  auto const trained = septum::io::read_model(path);
  auto const& description = trained.description;
  std::size_t values = 0;
  for (auto const& slice : trained.layout) values += slice.count;
  json result{{"model", path.string()},
              {"architecture", description.architecture},
              {"nets", trained.parameter_sets.size()},
              {"parameters_per_net", values},
              {"receptive_field", description.receptive_field},
              {"channels", description.channels},
              {"classes", description.classes},
              {"normalizer", description.normalizer},
              {"normalizer_window", description.normalizer_window},
              {"pixel_size_um", description.pixel_size_um}};
  for (auto const& [key, value] : description.provenance) result["provenance"][key] = value;
  return result;
}

json describe_image(fs::path const& path) {
  auto const input = septum::io::read_scaled_image(path);
  json result{{"image", path.string()},
              {"height", input.pixels.shape()[0]},
              {"width", input.pixels.shape()[1]},
              {"channels", input.pixels.shape()[2]},
              {"pixel_size_um", input.pixel_size_um}};
  auto const [low, high] = std::minmax_element(input.pixels.begin(), input.pixels.end());
  result["minimum"] = *low;
  result["maximum"] = *high;
  return result;
}

json describe_series(fs::path const& path, septum::io::tiff_reader const& file) {
  auto const& first = file.page(0);
  return {{"image", path.string()},
          {"pages", file.size()},
          {"frames", file.axes() ? file.axes()->frames : file.size()},
          {"channels", file.axes() ? file.axes()->channels : std::size_t{1}},
          {"height", first.height},
          {"width", first.width},
          {"pixel_size_um", file.pixel_size_um()}};
}

json describe_dataset(fs::path const& path, bool& sound) {
  auto const summary = septum::io::inspect_dataset(path);
  json result{{"data_set", path.string()}};
  for (auto const& channel : summary.channels)
    result["channels"].push_back({{"name", channel.name}, {"file", channel.file}});
  result["problems"] = summary.problems;
  sound = summary.problems.empty();
  if (sound) {
    auto const data = septum::io::read_dataset(path);
    result["height"] = data.pixels.shape()[0];
    result["width"] = data.pixels.shape()[1];
    std::vector<std::size_t> counts(data.truth.class_names.size(), 0);
    for (auto const value : data.truth.class_of_pixel)
      if (value < counts.size()) ++counts[value];
    for (std::size_t k = 0; k < counts.size(); ++k)
      result["classes"].push_back({{"name", data.truth.class_names[k]}, {"pixels", counts[k]}});
  }
  return result;
}

bool is_tiff_series(fs::path const& path) {
  auto const extension = path.extension();
  return (extension == ".tif" || extension == ".tiff") && septum::io::tiff_reader{path}.size() > 1;
}

// A plain rendering of nested JSON for people.
void print_lines(json const& value, std::string const& indent = "") {
  for (auto const& [key, each] : value.items()) {
    if (each.is_object() || (each.is_array() && !each.empty() && each.front().is_object())) {
      std::cout << indent << key << ":\n";
      if (each.is_object()) {
        print_lines(each, indent + "  ");
      } else {
        for (auto const& element : each) std::cout << indent << "  " << element.dump() << "\n";
      }
    } else {
      std::cout << indent << key << ": "
                << (each.is_string() ? each.get<std::string>() : each.dump()) << "\n";
    }
  }
}

void info(arguments const& given, common_options const& common) {
  json result;
  bool sound = true;
  if (given.subject.empty()) {
    result = describe_build();
  } else if (fs::is_directory(given.subject)) {
    result = describe_dataset(given.subject, sound);
  } else if (given.subject.extension() == ".safetensors") {
    result = describe_model(given.subject);
  } else if (is_tiff_series(given.subject)) {
    result = describe_series(given.subject, septum::io::tiff_reader{given.subject});
  } else {
    result = describe_image(given.subject);
  }
  if (common.json)
    print_json(common, result);
  else
    print_lines(result);
  if (!sound)
    throw septum::io_error(
        "septum.program.17",
        given.subject.string() +
            ": this data set cannot be trained on; the problems are listed above");
}

}  // namespace

void register_info(CLI::App& app, common_options& common) {
  auto const given = std::make_shared<arguments>();
  CLI::App& command = *app.add_subcommand(
      "info", "Says what this build can do, or what a model, an image or a data set holds");
  command.footer("Example: septum info day1/");
  command.add_option("FILE", given->subject, "Model, image, or data-set folder")
      ->check(CLI::ExistingPath);
  add_common_options(command, common);
  command.callback([given, &common] { info(*given, common); });
}

}  // namespace program
