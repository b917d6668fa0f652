#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <septum/backend/onednn.hpp>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/annotation.hpp>
#include <septum/io/image.hpp>
#include <septum/io/model.hpp>
#include <septum/io/npz.hpp>
#include <septum/io/roi_set.hpp>
#include <septum/io/tiff.hpp>
#include <septum/version.hpp>
#include <string>
#include <thread>
#include <vector>

#include "file_kinds.hpp"
#include "gpu.hpp"
#include "inputs.hpp"
#include "models.hpp"
#include "nets.hpp"
#include "options.hpp"
#include "refinement.hpp"
#include "segmentation.hpp"

namespace program {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

struct info_arguments {
  fs::path subject;
  bool plan = false;
  std::string model;
  std::string preset = "bacteria";
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
  auto const missing = missing_for_gpu();
  return {
      {"septum", std::to_string(SEPTUM_VERSION_MAJOR) + "." + std::to_string(SEPTUM_VERSION_MINOR) +
                     "." + std::to_string(SEPTUM_VERSION_PATCH)},
      {"compiler", __VERSION__},
      {"backends", {"onednn", "eigen", "reference", "cudnn"}},
      {"onednn", std::to_string(library->major) + "." + std::to_string(library->minor) + "." +
                     std::to_string(library->patch)},
      {"cudnn", missing.empty() ? "ready" : missing},
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
          {"bits", first.bits},
          {"pixel_size_um", file.pixel_size_um()},
          {"interval_s", file.interval_s()}};
}

json describe_dataset(fs::path const& path, bool& sound) {
  auto const summary = septum::io::inspect_dataset(path);
  json result{{"data_set", path.string()}, {"pixel_size_um", summary.pixel_size_um}};
  for (auto const& channel : summary.channels)
    result["channels"].push_back({{"name", channel.name},
                                  {"file", channel.file},
                                  {"height", channel.height},
                                  {"width", channel.width},
                                  {"minimum", channel.lowest},
                                  {"median", channel.median},
                                  {"maximum", channel.highest}});
  for (std::size_t k = 0; k < summary.class_names.size(); ++k)
    result["classes"].push_back(
        {{"name", summary.class_names[k]}, {"pixels", summary.pixels_of_class[k]}});
  if (summary.unlabelled > 0) result["pixels_without_class"] = summary.unlabelled;
  if (summary.cells) result["cells"] = *summary.cells;
  if (!summary.warnings.empty()) result["warnings"] = summary.warnings;
  result["problems"] = summary.problems;
  sound = sound && summary.problems.empty();
  return result;
}

// A data set, or an experiment of several.
json describe_folder(fs::path const& path, bool& sound) {
  auto const folders = septum::io::list_datasets(path);
  if (folders.size() == 1) return describe_dataset(folders.front(), sound);
  json result{{"experiment", path.string()}, {"data_sets", json::array()}};
  for (auto const& folder : folders) result["data_sets"].push_back(describe_dataset(folder, sound));
  return result;
}

json describe_areas(fs::path const& path) {
  auto const set = septum::io::read_roi_set(path);
  json result{{"areas", path.string()}, {"count", set.areas.size()}, {"frames", set.frames}};
  if (set.rows > 0) {
    result["height"] = set.rows;
    result["width"] = set.columns;
  }
  constexpr char const* names[] = {"polygon",  "rectangle", "oval",
                                   "freehand", "traced",    "composite"};
  std::map<std::string, std::size_t> shapes;
  double bottom = 0;
  double right = 0;
  std::size_t subpixel = 0;
  for (auto const& area : set.areas) {
    ++shapes[names[static_cast<std::size_t>(area.shape)]];
    bottom = std::max(bottom, area.bottom);
    right = std::max(right, area.right);
    subpixel += area.subpixel ? 1 : 0;
  }
  for (auto const& [name, count] : shapes) result["shapes"][name] = count;
  result["with_fractions_of_pixels"] = subpixel;
  result["reach"] = {{"rows", bottom}, {"columns", right}};
  return result;
}

json describe_arrays(fs::path const& path) {
  septum::io::npz_reader const file{path};
  json result{{"arrays", path.string()}};
  for (auto const& name : file.names()) {
    auto const content = file.content_of(name);
    auto const header = septum::io::read_npy_header(content.bytes(), path.string() + ": " + name);
    result["contents"].push_back(
        {{"name", name}, {"type", header.type_name()}, {"shape", header.shape}});
  }
  return result;
}

bool is_tiff_series(fs::path const& path) {
  return is_tiff(path) && septum::io::tiff_reader{path}.size() > 1;
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

// What `septum segment` of these images would need.
void plan(info_arguments const& given, common_options const& common) {
  if (given.subject.empty())
    throw septum::unsupported_error("septum.program.107",
                                    "--plan: name the image, movie or folder to segment");
  auto const trained =
      septum::io::read_model(find_model(given.model.empty() ? given.preset : given.model));
  segmentation_request request;
  request.refining = preset_refinement(given.preset);
  if (needs_nuclei(request.refining)) request.refining.method = refinement_method::threshold;
  auto const frames =
      list_inputs({.paths = {given.subject}, .channels = {}}, channels_of_run(trained, request));
  print_plan(plan_segmentation(frames, trained, request, common), common);
}

void info(info_arguments const& given, common_options const& common) {
  if (given.plan) return plan(given, common);
  json result;
  bool sound = true;
  if (given.subject.empty()) {
    result = describe_build();
  } else if (fs::is_directory(given.subject)) {
    result = describe_folder(given.subject, sound);
  } else if (given.subject.extension() == ".safetensors") {
    result = describe_model(given.subject);
  } else if (is_areas(given.subject)) {
    result = describe_areas(given.subject);
  } else if (given.subject.extension() == ".npz") {
    result = describe_arrays(given.subject);
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
  auto const given = std::make_shared<info_arguments>();
  CLI::App& command = *app.add_subcommand(
      "info",
      "Says what this build can do, or what a model, an image or a data set holds and "
      "whether it is usable");
  command.footer("Example: septum info day1/");
  command
      .add_option("FILE", given->subject,
                  "Model, image, ImageJ areas, arrays, data-set folder, or experiment")
      ->check(CLI::ExistingPath);
  command.add_flag("--plan", given->plan,
                   "Print the memory that segmenting FILE will need at most, and what it may take");
  command.add_option("--model", given->model, "--plan: model, as for septum segment");
  command.add_option("--preset", given->preset, "--plan: application, as for septum segment")
      ->check(CLI::IsMember({"bacteria", "nuclei", "cytoplasm", "coculture"}))
      ->capture_default_str();
  add_common_options(command, common);
  command.callback([given, &common] { info(*given, common); });
}

}  // namespace program
