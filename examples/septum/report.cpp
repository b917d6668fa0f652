#include <CLI/CLI.hpp>
#include <ctime>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <septum/io/file.hpp>
#include <string>

#include "measurement.hpp"
#include "measuring.hpp"
#include "options.hpp"
#include "reporting.hpp"
#include "results_folder.hpp"

namespace program {
namespace {

struct report_arguments {
  std::filesystem::path folder;
  std::filesystem::path out;
  std::string title;
  double megabytes = 16;
  bool reproducible = false;
  measuring_arguments measuring;
};

// 2026-01-31 17:05, local time.
std::string now_text() {
  std::time_t const now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::string text(32, '\0');
  text.resize(std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M", &local));
  return text;
}

void write_report(report_arguments const& given, common_options const& common) {
  auto const results = find_results(given.folder);
  auto const request = measuring_request(results, given.measuring);
  auto const measured = measure_movie(request, common);
  auto const out = given.out.empty() ? given.folder / "report.html" : given.out;
  auto const name = results.folder.filename().empty() ? results.folder.parent_path().filename()
                                                      : results.folder.filename();
  auto const html = make_report(results, request, measured,
                                {.title = given.title.empty() ? name.string() : given.title,
                                 .time = given.reproducible ? std::string{} : now_text(),
                                 .byte_budget = static_cast<std::size_t>(given.megabytes * 1e6)});
  septum::io::write_file(out, html);
  say(common, "Open " + out.string());
  nlohmann::ordered_json result = summary_of(measured);
  result["report"] = out.string();
  result["bytes"] = html.size();
  print_json(common, result);
}

}  // namespace

void register_report(CLI::App& app, common_options& common) {
  auto const given = std::make_shared<report_arguments>();
  CLI::App& command =
      *app.add_subcommand("report", "One self-contained HTML page about a segmented movie");
  command.footer(
      "DIR as for `septum measure`. The page needs no network: movie with a frame slider, growth,\n"
      "growth map, lineage, audit gallery, localisation, training, scores and provenance.\n"
      "Example: septum report quickstart");
  command.add_option("DIR", given->folder, "Folder of results")
      ->required()
      ->check(CLI::ExistingDirectory);
  command.add_option("--out", given->out, "File for the page; default: DIR/report.html");
  command.add_option("--title", given->title, "Title; default: the name of the folder");
  command
      .add_option("--megabytes", given->megabytes,
                  "Pictures of the movie are made smaller until they fit")
      ->check(CLI::Range(0.5, 500.0))
      ->capture_default_str();
  command.add_flag("--reproducible", given->reproducible,
                   "Do not say the time, so that equal results give equal bytes");
  add_measuring_options(command, given->measuring);
  add_common_options(command, common);
  command.callback([given, &common] { write_report(*given, common); });
}

}  // namespace program
