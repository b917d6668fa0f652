#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <septum/core/error.hpp>
#include <string>
#include <utility>
#include <vector>

#include "conversion.hpp"
#include "convert_data.hpp"
#include "options.hpp"

namespace program {
namespace {

// What is tried in this order; the first that accepts the files does the work.
std::vector<converter> converters() {
  std::vector<converter> all{keras_converter()};
  for (auto& each : data_converters()) all.push_back(std::move(each));
  return all;
}

void convert(conversion_request request, common_options const& common) {
  request.output = request.inputs.back();
  request.inputs.pop_back();
  auto const all = converters();
  auto const found = std::find_if(all.begin(), all.end(),
                                  [&](converter const& each) { return each.accepts(request); });
  if (found == all.end()) {
    std::string known;
    for (auto const& each : all) known += (known.empty() ? "" : "; ") + each.what;
    throw septum::unsupported_error(
        "septum.program.30",
        request.inputs.front().string() + " to " + request.output.string() + ": expected " + known);
  }
  print_json(common, found->run(request, common));
}

}  // namespace

void register_convert(CLI::App& app, common_options& common) {
  auto const given = std::make_shared<conversion_request>();
  CLI::App& command =
      *app.add_subcommand("convert", "Converts published weights to a model, and data formats");
  std::string known;
  for (auto const& each : converters()) known += "  " + each.what + "\n";
  command.footer("Converts, by the names of the files:\n" + known +
                 "Example: septum convert net_0.h5 net_1.h5 net_2.h5 net_3.h5 net_4.h5 "
                 "nuclei.safetensors\n"
                 "         septum convert RoiSet.zip labels.tif --like phase.tif");
  command
      .add_option("FILES", given->inputs, "Files to convert, and last the file or folder to write")
      ->required()
      ->expected(2, 4096);
  command
      .add_option("--rule", given->statistics_rule,
                  "What running_std of Keras weights holds: std up to Keras 1.0.6, variance in "
                  "1.0.7; auto tells from the file")
      ->check(CLI::IsMember({"auto", "std", "variance"}))
      ->capture_default_str();
  command.add_option("--channels", given->channels, "Names of the net's input channels, in order")
      ->delimiter(',');
  command.add_option("--classes", given->classes, "Names of the net's classes, in order")
      ->delimiter(',');
  command
      .add_option("--pixel-size", given->pixel_size_um,
                  "Side of a pixel in um: what the net expects, or what an image is to say")
      ->check(CLI::NonNegativeNumber);
  command
      .add_option("--interval", given->interval_s,
                  "Seconds between frames that a time series is to say; 0: as the input")
      ->check(CLI::NonNegativeNumber);
  command
      .add_option("--like", given->like,
                  "Image or time series that ImageJ areas were drawn on, for its size")
      ->check(CLI::ExistingPath);
  add_common_options(command, common);
  command.callback([given, &common] { convert(*given, common); });
}

}  // namespace program
