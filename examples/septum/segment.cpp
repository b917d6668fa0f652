#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <septum/core/error.hpp>
#include <string>
#include <utility>

#include "inputs.hpp"
#include "models.hpp"
#include "options.hpp"
#include "segmentation.hpp"

namespace program {
namespace {

// Options that override the preset's values where they are given.
struct overrides {
  std::string method;
  std::string nuclear_rule;
  std::optional<double> threshold;
  std::optional<double> core_threshold;
  std::optional<std::int64_t> core_area_min;
  std::optional<std::int64_t> area_min;
  std::optional<std::int64_t> area_max;
  std::optional<double> solidity_min;
  std::optional<double> eccentricity_min;
  std::optional<double> eccentricity_max;
  std::optional<int> split;
  std::optional<int> grow;
  std::optional<double> nuclei_threshold;
  std::optional<std::int64_t> nuclei_area_min;
  std::optional<double> nuclei_solidity_min;
  std::optional<double> nuclei_eccentricity_max;
  std::optional<int> nuclei_local_window;
  std::optional<double> nuclei_local_offset;
  std::optional<int> iterations;
  std::optional<int> smoothing;
  std::optional<double> outward;
  std::optional<int> crf_iterations;
  std::optional<double> class_score_min;

  void apply(refinement& to) const {
    if (method == "threshold") to.method = refinement_method::threshold;
    if (method == "otsu") to.method = refinement_method::otsu;
    if (method == "watershed") {
      to.method = refinement_method::threshold;
      to.split_px = 5;
    }
    if (method == "contours") to.method = refinement_method::contours;
    if (method == "crf") to.method = refinement_method::crf;
    if (method == "crf-contours") to.method = refinement_method::crf_contours;
    if (!nuclear_rule.empty()) to.nuclei = published_nuclear_rule(nuclear_rule);
    auto& nuclei = to.nuclei;
    bool const cells_are_nuclei = to.method == refinement_method::nuclei;
    take(nuclei_threshold, nuclei.above);
    take(nuclei_area_min, nuclei.area_min);
    take(nuclei_solidity_min, nuclei.solidity_min);
    take(nuclei_eccentricity_max, nuclei.eccentricity_max);
    take(nuclei_local_window, nuclei.local_window);
    take(nuclei_local_offset, nuclei.local_offset);
    if (cells_are_nuclei) {
      take(threshold, nuclei.above);
      take(area_min, nuclei.area_min);
      take(solidity_min, nuclei.solidity_min);
      take(eccentricity_max, nuclei.eccentricity_max);
    } else {
      take(threshold, to.threshold);
      take(area_min, to.area_min_px);
      take(solidity_min, to.solidity_min);
      take(eccentricity_max, to.eccentricity_max);
    }
    take(core_threshold, to.core_threshold);
    take(core_area_min, to.core_area_min_px);
    take(area_max, to.area_max_px);
    take(eccentricity_min, to.eccentricity_min);
    take(split, to.split_px);
    take(grow, to.grow_px);
    take(iterations, to.contour_iterations);
    take(smoothing, to.contour_smoothing);
    take(outward, to.lambda_outside);
    take(crf_iterations, to.crf.iterations);
    take(class_score_min, to.class_score_min);
  }

 private:
  template <class From, class To>
  static void take(std::optional<From> const& from, To& to) {
    if (from) to = static_cast<To>(*from);
  }
};

struct segment_arguments {
  image_arguments images;
  std::vector<std::filesystem::path> models;
  std::vector<std::filesystem::path> nuclei_models;
  std::string preset = "bacteria";
  std::string mode = "labels";
  std::string pad;
  std::string nonfinite = "error";
  std::string convolution;  // empty: as the mode says
  bool clear_border = false;
  bool keep_holes = false;
  bool no_overlays = false;
  bool plan = false;
  bool no_spread = false;
  bool cascade = false;
  std::optional<double> cascade_threshold;
  double cascade_loss = 0.0;
  overrides refining;
  segmentation_request request;
};

nlohmann::ordered_json classes_json(std::vector<class_summary> const& classes) {
  nlohmann::ordered_json result = nlohmann::ordered_json::object();
  for (auto const& each : classes) {
    auto& entry = result[each.name.empty() ? "undecided" : each.name];
    entry["cells"] = each.cells;
    if (!each.histogram.empty()) entry["score_histogram"] = each.histogram;
  }
  return result;
}

// Published masks come from the most exact sums, unless something else is asked for.
septum::convolution_algorithm convolution_of(segment_arguments const& given) {
  using septum::convolution_algorithm;
  if (given.convolution == "winograd") return convolution_algorithm::winograd;
  if (given.convolution == "direct") return convolution_algorithm::direct;
  bool const exact =
      given.convolution.empty() ? given.mode == "published" : given.convolution == "compensated";
  return exact ? convolution_algorithm::compensated : convolution_algorithm::automatic;
}

// Without the net of the nuclei there is nothing that contours could start from.
refinement refinement_of(segment_arguments const& given) {
  auto refining = preset_refinement(given.preset, given.mode == "published");
  bool const no_nuclei = given.nuclei_models.empty() && needs_nuclei(refining);
  if (no_nuclei && given.mode != "published" && given.refining.method.empty())
    refining.method = refinement_method::threshold;
  given.refining.apply(refining);
  refining.clear_border = given.clear_border;
  if (given.keep_holes) refining.fill_holes = false;
  return refining;
}

nlohmann::ordered_json plan_json(memory_plan const& plan) {
  nlohmann::ordered_json result{{"peak_bytes", plan.total()}};
  for (auto const& [what, bytes] : plan.parts) result["parts"][what] = bytes;
  return result;
}

}  // namespace

void print_plan(segmentation_plan const& plan, common_options const& common) {
  nlohmann::ordered_json summary{{"allowed_bytes", plan.allowed_bytes},
                                 {"whole", plan_json(plan.whole)}};
  if (plan.why_not_by_rows.empty())
    summary["by_rows"] = plan_json(plan.by_rows);
  else
    summary["why_not_by_rows"] = plan.why_not_by_rows;
  if (common.json) return print_json(common, summary);
  std::cout << "peak of frames segmented whole: " << bytes_text(plan.whole.total()) << "\n";
  if (plan.why_not_by_rows.empty())
    std::cout << "peak of frames segmented row by row: " << bytes_text(plan.by_rows.total())
              << "\n";
  else
    std::cout << "not row by row: " << plan.why_not_by_rows << "\n";
  std::cout << "may take: " << bytes_text(plan.allowed_bytes) << std::endl;
}

namespace {

void segment(segment_arguments given, common_options const& common) {
  if (given.models.empty()) {
    given.models = {given.preset};
    if (given.preset == "cytoplasm" && given.nuclei_models.empty())
      given.nuclei_models = {"nuclei"};
  }
  auto request = given.request;
  request.refining = refinement_of(given);
  request.write_overlays = !given.no_overlays;
  request.measure_spread = !given.no_spread;
  request.pad_by_reflection = given.pad == "reflect";
  request.convolution = convolution_of(given);
  request.zero_nonfinite = given.nonfinite == "zero";
  if (given.cascade || given.cascade_threshold)
    request.cascade = {.threshold = given.cascade_threshold, .loss = given.cascade_loss};
  auto const trained = read_models(given.models);
  if (!given.nuclei_models.empty()) request.nuclear_model = read_models(given.nuclei_models);
  auto const frames = list_inputs(given.images, channels_of_run(trained, request));
  if (given.plan) {
    auto const plan = plan_segmentation(frames, trained, request, common);
    print_plan(plan, common);
    return;
  }
  auto const result = segment_frames(frames, trained, request, common);
  say(common, "Cells: " + (request.out / "cells.csv").string() + "; look at " +
                  (request.out / (request.write_overlays ? "overlay" : "labels")).string());
  nlohmann::ordered_json summary{{"seconds",
                                  {{"read", result.seconds.at("read")},
                                   {"normalize", result.seconds.at("normalize")},
                                   {"predict", result.seconds.at("predict")},
                                   {"refine", result.seconds.at("refine")},
                                   {"write", result.seconds.at("write")}}},
                                 {"frames", result.frames},
                                 {"cells", result.cells}};
  if (request.nuclear_model) summary["nuclei"] = result.nuclei;
  if (!result.classes.empty()) summary["classes"] = classes_json(result.classes);
  summary["peak_bytes"] = result.peak_bytes;
  summary["planned_bytes"] = result.planned_bytes;
  summary["frames_by_rows"] = result.frames_by_rows;
  if (result.cascade_threshold)
    summary["cascade"] = {{"threshold", *result.cascade_threshold},
                          {"computed_share", result.computed_share}};
  print_json(common, summary);
}

void add_nuclei_options(CLI::App& command, segment_arguments& given) {
  auto& refining = given.refining;
  command.add_option("--nuclei-model", given.nuclei_models,
                     "Model of the nuclei that seed the cells of cytoplasm and coculture; they are "
                     "written below OUT/nuclei; a file, or a name as for --model");
  command
      .add_option("--nuclei-rule", refining.nuclear_rule,
                  "How nuclei are told: hela (p > 0.75, area 100, eccentricity 0.95, solidity "
                  "0.75; also 3T3, MCF10A), coculture (any eccentricity), raw (p > 0.5, area 50, "
                  "any eccentricity; also BMDM), plating (dim nuclei: p above the local median)")
      ->check(CLI::IsMember({"hela", "coculture", "raw", "plating"}));
  command.add_option("--nuclei-threshold", refining.nuclei_threshold, "Probability of a nucleus")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--nuclei-area-min", refining.nuclei_area_min, "Smallest nucleus in px");
  command
      .add_option("--nuclei-solidity-min", refining.nuclei_solidity_min,
                  "Least area / convex area of a nucleus")
      ->check(CLI::Range(0.0, 1.0));
  command
      .add_option("--nuclei-eccentricity-max", refining.nuclei_eccentricity_max,
                  "Of a nucleus; 0 circle, 1 line")
      ->check(CLI::Range(0.0, 1.0));
  command
      .add_option("--nuclei-local-window", refining.nuclei_local_window,
                  "Odd side in px of the box whose median a nucleus exceeds; 0: one threshold")
      ->check(CLI::Range(0, 1023));
  command
      .add_option("--nuclei-local-offset", refining.nuclei_local_offset,
                  "By how much a nucleus exceeds that median")
      ->check(CLI::Range(-1.0, 1.0));
}

void add_refining_options(CLI::App& command, segment_arguments& given) {
  auto& refining = given.refining;
  command
      .add_option("--preset", given.preset,
                  "Application: what follows the net, with the published settings")
      ->check(CLI::IsMember({"bacteria", "nuclei", "cytoplasm", "coculture"}))
      ->capture_default_str();
  command
      .add_option("--mode", given.mode,
                  "published: the paper's masks, pixel for pixel; labels: touching cells without "
                  "a gap, holes filled")
      ->check(CLI::IsMember({"published", "labels"}))
      ->capture_default_str();
  command
      .add_option("--refine", refining.method,
                  "Instead of the preset's: threshold alone, Otsu's threshold, threshold and then "
                  "watershed of touching cells, contours from nuclei, a random field and then "
                  "threshold (crf), or and then contours (crf-contours)")
      ->check(CLI::IsMember({"threshold", "otsu", "watershed", "contours", "crf", "crf-contours"}));
  command
      .add_option("--split", refining.split,
                  "Split touching cells by watershed: the least distance in px of two centres, "
                  "about the radius of the smallest cell; 0: not at all")
      ->check(CLI::Range(0, 1000));
  command.add_option("--threshold", refining.threshold, "Interior probability of a cell")
      ->check(CLI::Range(0.0, 1.0));
  command
      .add_option(
          "--core-threshold", refining.core_threshold,
          "Cells grow from the parts that the pixels above --threshold fall into at any higher "
          "probability up to this one, so that neighbours joined by doubtful pixels stay apart; "
          "0: by --threshold alone")
      ->check(CLI::Range(0.0, 1.0));
  command
      .add_option("--core-area-min", refining.core_area_min,
                  "Smallest such part in px: less than the smallest cell has")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  command.add_option("--area-min", refining.area_min, "Smallest cell in px");
  command.add_option("--area-max", refining.area_max, "Largest cell in px; 0: none");
  command.add_option("--solidity-min", refining.solidity_min, "Least area / convex area")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--eccentricity-min", refining.eccentricity_min, "0 circle, 1 line")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--eccentricity-max", refining.eccentricity_max, "0 circle, 1 line")
      ->check(CLI::Range(0.0, 1.0));
  command
      .add_option("--grow", refining.grow,
                  "Grow cells by so many px without merging them: the edge class belongs to "
                  "nobody, so interiors are smaller than cells")
      ->check(CLI::Range(0, 100));
  add_nuclei_options(command, given);
  command.add_option("--iterations", refining.iterations, "Of the contours; 120 by default")
      ->check(CLI::Range(0, 100000));
  command.add_option("--smoothing", refining.smoothing, "Steps in each iteration; 1 by default")
      ->check(CLI::Range(0, 100));
  command
      .add_option("--outward", refining.outward,
                  "Weight of what lies outside a contour, in mode labels; more grows the cells; "
                  "1.5 by default")
      ->check(CLI::Range(0.1, 10.0));
  command.add_option("--crf-iterations", refining.crf_iterations, "Of the random field")
      ->check(CLI::Range(0, 1000));
  command
      .add_option("--class-score-min", refining.class_score_min,
                  "Leave the class of a cell undecided below this score (coculture)")
      ->check(CLI::Range(0.0, 1.0));
}

}  // namespace

void register_segment(CLI::App& app, common_options& common) {
  auto const given = std::make_shared<segment_arguments>();
  CLI::App& command = *app.add_subcommand("segment", "Segments images with a trained model");
  command.footer(
      "Example: septum segment movie/ --model bacteria.safetensors --out cells\n"
      "         septum segment --channel phase=p.tif --channel nuclear=n.tif --preset cytoplasm "
      "--model hela.safetensors --nuclei-model nuclei.safetensors --out cells");
  command
      .add_option("IMAGE", given->images.paths,
                  "Image files, time series, data-set folders, or folders of frames")
      ->check(CLI::ExistingPath);
  command.add_option("--channel", given->images.channels,
                     "NAME=FILE, once per channel of one image");
  command.add_flag("--allow-gaps", given->images.allow_gaps,
                   "Accept missing frame numbers in a folder of frames");
  command.add_option("--model", given->models,
                     "Model files; several are one ensemble. A name stands for a model that comes "
                     "with septum; when none is given, for the preset's");
  command.add_option("--out", given->request.out, "Folder for the results")->required();
  add_refining_options(command, *given);
  command.add_flag("--clear-border", given->clear_border, "Drop cells at the border");
  command.add_flag("--keep-holes", given->keep_holes, "Do not fill holes in cells");
  command.add_option("--pad", given->pad, "Continue the image beyond its border")
      ->check(CLI::IsMember({"reflect"}));
  command.add_option("--nonfinite", given->nonfinite, "NaN and infinite pixels: error, or zero")
      ->check(CLI::IsMember({"error", "zero"}))
      ->capture_default_str();
  command.add_flag("--probabilities", given->request.write_probabilities,
                   "Also write class probabilities (float32, a page per class)");
  command.add_flag("--no-overlays", given->no_overlays, "Do not draw cells over the images");
  command.add_flag("--no-spread", given->no_spread,
                   "Leave out how far the nets of an ensemble agree about each cell (area_sd_px, "
                   "interior_sd), which takes memory for the probabilities of every net");
  command
      .add_option("--pixel-size", given->request.pixel_size_um,
                  "Side of a pixel in um; 0: what image or model say")
      ->check(CLI::NonNegativeNumber);
  command
      .add_option("--memory", given->request.memory_mb,
                  "MiB for feature maps; results do not depend on it")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 20))
      ->capture_default_str();
  command
      .add_option("--tile", given->request.largest_tile,
                  "Largest side of a tile in pixels; results do not depend on it")
      ->check(CLI::Range(1, 1 << 20));
  command
      .add_option("--memory-limit", given->request.memory_limit_mb,
                  "MiB that the whole program may take; 0: what is free. Larger images are "
                  "segmented row by row")
      ->check(CLI::Range(std::size_t{0}, std::size_t{1} << 24));
  command
      .add_option("--rows", given->request.rows,
                  "Segment row by row: auto, where a frame does not fit into memory; always; never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  command.add_flag(
      "--turns", given->request.turns,
      "Show the nets the eight turns and reflections of every image and take the mean: "
      "fewer errors, most of all of a single net, in eight times the time");
  auto* const cascade = command.add_flag(
      "--cascade", given->cascade,
      "Keep background from the net: blocks of 32x32 pixels in which nothing stands out of the "
      "noise get probability 1 of background, all others what they get without this option. From "
      "when on a block stands out is found on the first frame with cells, which is computed whole");
  command
      .add_option("--cascade-loss", given->cascade_loss,
                  "Share of that frame's cell pixels that may lie in skipped blocks")
      ->check(CLI::Range(0.0, 1.0))
      ->needs(cascade)
      ->capture_default_str();
  command
      .add_option("--cascade-threshold", given->cascade_threshold,
                  "Instead of finding it: the largest local deviation, in a normalised image, of a "
                  "block that is skipped, as an earlier run has printed it; 0 skips nothing")
      ->check(CLI::NonNegativeNumber);
  command.add_flag("--plan", given->plan,
                   "Only print the memory that the run will need at most, and what it may take");
  command
      .add_option(
          "--convolution", given->convolution,
          "direct sums; winograd: a quarter of the multiplications, probabilities differ by "
          "less than 1e-4; compensated: direct sums whose rounding is made good; automatic: what "
          "is "
          "faster (default; compensated with --mode published)")
      ->check(CLI::IsMember({"automatic", "direct", "winograd", "compensated"}));
  add_common_options(command, common);
  command.callback([given, &common] { segment(*given, common); });
}

}  // namespace program
