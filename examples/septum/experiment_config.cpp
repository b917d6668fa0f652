#include "experiment_config.hpp"

#include <toml++/toml.h>
#include <algorithm>
#include <optional>
#include <septum/core/error.hpp>
#include <septum/core/text.hpp>
#include <septum/io/file.hpp>
#include <set>
#include <sstream>
#include <string_view>

namespace program {
namespace {

namespace fs = std::filesystem;

// One table of the file; keys that nobody asked for are errors.
class section {
 public:
  section(toml::table const* content, std::string name, experiment_config& config)
      : content_{content}, name_{std::move(name)}, config_{&config} {}

  [[nodiscard]] toml::node const* node(std::string const& key) {
    known_.insert(key);
    return content_ == nullptr ? nullptr : content_->get(key);
  }
  template <class T>
  void take(std::string const& key, T& target, char const* expected) {
    auto const* found = node(key);
    if (found == nullptr) return;
    auto const value = found->value_exact<T>();
    if (!value) refuse(key, *found, std::string{"expected "} + expected);
    target = *value;
    note(key, *found);
  }
  void take(std::string const& key, double& target, double lowest, double highest) {
    auto const* found = node(key);
    if (found == nullptr) return;
    auto const value = found->is_number() ? found->value<double>() : std::nullopt;
    if (!value || !(*value >= lowest && *value <= highest))
      refuse(
          key, *found,
          "expected a number from " + septum::to_text(lowest) + " to " + septum::to_text(highest));
    target = *value;
    note(key, *found);
  }
  template <class Integer>
  void take_whole(std::string const& key, Integer& target, std::int64_t lowest,
                  std::int64_t highest) {
    auto const* found = node(key);
    if (found == nullptr) return;
    auto const value = found->value_exact<std::int64_t>();
    if (!value || *value < lowest || *value > highest)
      refuse(key, *found,
             "expected a whole number from " + septum::to_text(lowest) + " to " +
                 septum::to_text(highest));
    target = static_cast<Integer>(*value);
    note(key, *found);
  }
  void take_word(std::string const& key, std::string& target,
                 std::vector<std::string_view> const& words) {
    take(key, target, "a text in quotes");
    if (std::find(words.begin(), words.end(), target) != words.end()) return;
    std::string list;
    for (auto const word : words) list += (list.empty() ? "" : ", ") + std::string{word};
    refuse(key, *node(key), "expected one of " + list);
  }
  [[nodiscard]] fs::path path_of(std::string const& text) const {
    return (config_->file.parent_path() / text).lexically_normal();
  }
  void take_path(std::string const& key, fs::path& target) {
    std::string text;
    take(key, text, "a path in quotes");
    if (!text.empty()) target = path_of(text);
  }
  [[noreturn]] void refuse(std::string const& key, toml::node const& at,
                           std::string const& what) const {
    std::ostringstream found;
    found << toml::node_view<toml::node const>{&at};
    throw septum::unsupported_error{
        "septum.program.87", config_->file.string() + ": line " +
                                 septum::to_text(at.source().begin.line) + ": " + full(key) + ": " +
                                 what + ", found " + septum::printable(found.str(), 60)};
  }
  /// Call when all keys have been asked for.
  void finish() const {
    if (content_ == nullptr) return;
    for (auto const& [key, value] : *content_) {
      std::string const text{key.str()};
      if (known_.contains(text)) continue;
      std::string list;
      for (auto const& one : known_) list += (list.empty() ? "" : ", ") + one;
      refuse(text, value, "unknown; there are " + list);
    }
  }
  void note(std::string const& key, toml::node const& value) const {
    std::ostringstream text;
    text << toml::node_view<toml::node const>{&value};
    config_->settings.emplace_back(full(key), text.str());
  }

 private:
  [[nodiscard]] std::string full(std::string const& key) const {
    return name_.empty() ? key : name_ + "." + key;
  }

  toml::table const* content_;
  std::string name_;
  experiment_config* config_;
  std::set<std::string> known_;
};

section table_in(section& parent, std::string const& key, experiment_config& config) {
  auto const* found = parent.node(key);
  if (found != nullptr && !found->is_table()) parent.refuse(key, *found, "expected a table");
  return {found == nullptr ? nullptr : found->as_table(), key, config};
}

void read_segmentation(section given, segmentation_request& request) {
  std::string preset = "bacteria";
  bool published = false;
  given.take_word("preset", preset, {"bacteria", "nuclei", "cytoplasm", "coculture"});
  given.take("published", published, "true or false");
  request.refining = preset_refinement(preset, published);
  auto& refining = request.refining;
  given.take("threshold", refining.threshold, 0, 1);
  given.take("core_threshold", refining.core_threshold, 0, 1);
  given.take_whole("core_area_min", refining.core_area_min_px, 1, 1'000'000'000);
  given.take_whole("area_min", refining.area_min_px, 0, 1'000'000'000);
  given.take_whole("area_max", refining.area_max_px, 0, 1'000'000'000);
  given.take("solidity_min", refining.solidity_min, 0, 1);
  given.take("eccentricity_min", refining.eccentricity_min, 0, 1);
  given.take("eccentricity_max", refining.eccentricity_max, 0, 1);
  given.take_whole("grow", refining.grow_px, 0, 100);
  given.take("clear_border", refining.clear_border, "true or false");
  given.take("fill_holes", refining.fill_holes, "true or false");
  given.take("turns", request.turns, "true or false");
  given.take("pad", request.pad_by_reflection, "true or false");
  given.take("zero_nonfinite", request.zero_nonfinite, "true or false");
  given.take("probabilities", request.write_probabilities, "true or false");
  given.take("overlays", request.write_overlays, "true or false");
  given.take_whole("memory_mb", request.memory_mb, 1, 1 << 20);
  given.finish();
}

void read_tracking(section given, experiment_config& config) {
  auto& request = config.tracking;
  given.take("enabled", config.track, "true or false");
  given.take_word("preset", request.preset, {"bacteria", "nuclei"});
  double distance = 0;
  int gap = -1;
  given.take("max_distance", distance, 0.001, 1e6);
  given.take_whole("gap_frames", gap, 0, 1000);
  if (distance > 0) request.max_distance = distance;
  if (gap >= 0) request.gap_frames = gap;
  given.take("drift", request.correct_drift, "true or false");
  given.take("ctc", request.write_masks, "true or false");
  given.finish();
}

void read_measuring(section given, measuring_arguments& measuring) {
  given.take("pixel_size_um", measuring.pixel_size_um, 0, 1000);
  given.take("interval_min", measuring.frame_interval_min, 0, 1e6);
  given.take_word("divisions", measuring.divisions, {"separate", "continued", "published"});
  given.take_whole("window", measuring.window, 3, 1001);
  given.take_whole("neighbour_reach", measuring.neighbour_reach_px, 1, 1000);
  given.take("jump", measuring.jump, 0, 100);
  given.take("disagreement", measuring.disagreement, 0, 100);
  given.take("reporter", measuring.reporter, "the name of a channel in quotes");
  given.finish();
}

void read_models(section given, experiment_config& config) {
  auto const* cells = given.node("cells");
  if (cells != nullptr) {
    if (cells->is_string()) {
      config.models.push_back(given.path_of(*cells->value<std::string>()));
    } else if (auto const* list = cells->as_array()) {
      for (auto const& one : *list) {
        if (!one.is_string()) given.refuse("cells", one, "expected paths in quotes");
        config.models.push_back(given.path_of(*one.value<std::string>()));
      }
    } else {
      given.refuse("cells", *cells, "expected a path, or a list of paths, in quotes");
    }
    given.note("cells", *cells);
  }
  given.take_path("nuclei", config.nuclear_model);
  given.finish();
}

// Letters, digits and a few signs: names become folders.
bool is_plain(std::string const& name) {
  return !name.empty() && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '+';
         });
}

position read_position(toml::node const& node, section& root, experiment_config& config) {
  auto const* content = node.as_table();
  if (content == nullptr) root.refuse("position", node, "expected [[position]] tables");
  section given{content, "position", config};
  position result;
  std::string images;
  auto const* name = given.node("name");
  auto const* path = given.node("images");
  auto const* channels = given.node("channels");
  if (name != nullptr) result.name = name->value_or(std::string{});
  if (path != nullptr) images = path->value_or(std::string{});
  if (!images.empty()) result.images = given.path_of(images);
  if (channels != nullptr) {
    auto const* table = channels->as_table();
    if (table == nullptr) given.refuse("channels", *channels, "expected { name = \"path\", ... }");
    for (auto const& [key, value] : *table) {
      if (!value.is_string()) given.refuse("channels", value, "expected paths in quotes");
      result.channels[std::string{key.str()}] = given.path_of(*value.value<std::string>());
    }
  }
  if (result.name.empty() && !result.images.empty()) {
    fs::path const clean =
        result.images.has_filename() ? result.images : result.images.parent_path();
    result.name = fs::is_directory(clean) ? clean.filename().string() : clean.stem().string();
  }
  if (!is_plain(result.name))
    given.refuse("name", node, "expected a name of letters, digits, '-', '_', '+' and '.'");
  if (result.images.empty() == result.channels.empty())
    given.refuse("images", node, "expected either images or channels");
  given.finish();
  return result;
}

// Every folder, and every time series, in a folder is a position.
void add_positions_in(fs::path const& folder, experiment_config& config) {
  std::vector<fs::path> found;
  std::error_code failure;
  for (auto const& entry : fs::directory_iterator{folder, failure}) {
    std::string const name = entry.path().filename().string();
    if (name.starts_with('.')) continue;
    std::string const extension = entry.path().extension().string();
    if (entry.is_directory() || extension == ".tif" || extension == ".tiff")
      found.push_back(entry.path());
  }
  if (failure)
    throw septum::io_error{"septum.program.88", folder.string() + ": " + failure.message()};
  std::sort(found.begin(), found.end());
  for (auto const& path : found)
    config.positions.push_back(
        {.name = fs::is_directory(path) ? path.filename().string() : path.stem().string(),
         .images = path,
         .channels = {}});
}

toml::table parse(fs::path const& file) {
  auto const content = septum::io::read_file(file);
  try {
    return toml::parse(content.text(), file.string());
  } catch (toml::parse_error const& failure) {
    throw septum::io_error{"septum.program.86",
                           file.string() + ": line " +
                               septum::to_text(failure.source().begin.line) + ": " +
                               septum::printable(failure.description()) + "; expected a TOML file"};
  }
}

void check(experiment_config const& config) {
  auto const expect = [&](bool holds, std::string const& message) {
    if (!holds)
      throw septum::unsupported_error{"septum.program.73", config.file.string() + ": " + message};
  };
  expect(!config.models.empty(), "expected the model of the cells: [model] cells = \"FILE\"");
  expect(!config.positions.empty(),
         "expected positions = \"FOLDER\" or at least one [[position]] with name and images");
  expect(config.measuring.window % 2 == 1, "measure.window: expected an odd number");
  std::set<std::string> names;
  for (auto const& one : config.positions)
    expect(names.insert(one.name).second, "found two positions named " + one.name);
}

}  // namespace

experiment_config read_experiment(fs::path const& file) {
  toml::table const content = parse(file);
  experiment_config config;
  config.file = fs::absolute(file);
  section root{&content, "", config};
  config.name = file.stem().string();
  root.take("name", config.name, "a text in quotes");
  config.out = config.file.parent_path() / (config.file.stem().string() + "_results");
  root.take_path("out", config.out);
  root.take("allow_gaps", config.allow_gaps, "true or false");
  read_models(table_in(root, "model", config), config);
  read_segmentation(table_in(root, "segment", config), config.segmentation);
  read_tracking(table_in(root, "track", config), config);
  read_measuring(table_in(root, "measure", config), config.measuring);
  section page = table_in(root, "report", config);
  page.take("enabled", config.report, "true or false");
  page.take("megabytes", config.report_megabytes, 0.5, 500);
  page.finish();
  std::string folder;
  root.take("positions", folder, "a folder in quotes");
  if (!folder.empty()) add_positions_in(root.path_of(folder), config);
  if (auto const* list = root.node("position")) {
    if (!list->is_array()) root.refuse("position", *list, "expected [[position]] tables");
    for (auto const& one : *list->as_array())
      config.positions.push_back(read_position(one, root, config));
  }
  root.finish();
  check(config);
  return config;
}

}  // namespace program
