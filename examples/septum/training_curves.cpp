#include "training_curves.hpp"

#include <cstddef>
#include <septum/core/text.hpp>
#include <septum/io/file.hpp>
#include <septum/report/figures.hpp>
#include <septum/train/trainer.hpp>
#include <utility>
#include <vector>

namespace program {
namespace {

// One net: training and validation loss. An ensemble: the validation loss of each.
std::string curves_figure(std::vector<std::vector<septum::epoch_record>> const& curves) {
  if (curves.size() == 1) {
    std::vector<septum::report::learning_point> points;
    for (auto const& record : curves.front())
      points.push_back({record.epoch + 1.0, record.training_loss, record.validation_loss});
    return septum::report::learning_curves(points, "loss");
  }
  std::vector<septum::report::series> lines;
  for (std::size_t net = 0; net < curves.size(); ++net) {
    septum::report::series line{.name = "net " + std::to_string(net + 1),
                                .shape = septum::report::mark::line_and_points};
    for (auto const& record : curves[net]) {
      line.x.push_back(record.epoch + 1.0);
      line.y.push_back(record.validation_loss);
    }
    lines.push_back(std::move(line));
  }
  return septum::report::line_plot(
      {.title = "Learning curves", .x = {.label = "epoch"}, .y = {.label = "validation loss"}},
      lines);
}

}  // namespace

std::filesystem::path curves_path(std::filesystem::path const& model,
                                  std::string const& extension) {
  auto path = model;
  return path.replace_extension(".curves" + extension);
}

void write_training_curves(std::filesystem::path const& model, training_result const& result) {
  std::string table =
      "net,epoch,rate,training_loss,training_accuracy,validation_loss,validation_accuracy,seconds,"
      "patches\n";
  for (std::size_t net = 0; net < result.curves.size(); ++net)
    for (auto const& record : result.curves[net])
      table += std::to_string(net) + "," + std::to_string(record.epoch) + "," +
               septum::to_text(record.rate) + "," + septum::to_text(record.training_loss) + "," +
               septum::to_text(record.training_accuracy) + "," +
               septum::to_text(record.validation_loss) + "," +
               septum::to_text(record.validation_accuracy) + "," + septum::to_text(record.seconds) +
               "," + std::to_string(record.patches) + "\n";
  septum::io::write_file(curves_path(model, ".csv"), table);
  septum::io::write_file(curves_path(model, ".svg"), curves_figure(result.curves));
}

}  // namespace program
