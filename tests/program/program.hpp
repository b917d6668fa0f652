#pragma once
#include <sys/wait.h>

#include <unistd.h>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <septum/core/rng.hpp>
#include <septum/image/types.hpp>
#include <septum/io/model.hpp>
#include <septum/io/tiff.hpp>
#include <septum/net/parameters.hpp>
#include <septum/nn/feature_nets.hpp>
#include <stdexcept>
#include <string>

/// Runs the program septum as a shell does, in a folder that is removed afterwards.
namespace program_test {

namespace fs = std::filesystem;

/// What a run left behind.
struct outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
};

inline std::string content(fs::path const& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

/// A scratch folder and the program.
class sandbox {
 public:
  sandbox() {
    static int number = 0;
    folder_ = fs::temp_directory_path() /
              ("septum-program-" + std::to_string(::getpid()) + "-" + std::to_string(number++));
    fs::create_directories(folder_);
    char const* const path = std::getenv("SEPTUM_PROGRAM");
    if (path == nullptr) throw std::runtime_error{"SEPTUM_PROGRAM does not name the program"};
    program_ = path;
  }
  ~sandbox() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  sandbox(sandbox const&) = delete;
  sandbox& operator=(sandbox const&) = delete;

  [[nodiscard]] fs::path path(std::string const& name) const { return folder_ / name; }
  [[nodiscard]] std::string const& program() const { return program_; }

  /// Runs `septum ARGUMENTS` in the folder; `before` is put in front, e.g. "ulimit -f 8;".
  [[nodiscard]] outcome run(std::string const& arguments, std::string const& before = "") const {
    auto const out = folder_ / ".out";
    auto const err = folder_ / ".err";
    std::string const command = "cd '" + folder_.string() + "' && (" + before + " '" + program_ +
                                "' " + arguments + ") >'" + out.string() + "' 2>'" + err.string() +
                                "' </dev/null";
    int const status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), content(out),
            content(err)};
  }

  /// An image of blurred noise with bright squares, so that it is neither constant nor zero.
  static septum::image picture(std::size_t rows, std::size_t columns, std::size_t channels = 1) {
    septum::image pixels = septum::image::from_shape({rows, columns, channels});
    septum::counter_rng const rng{4, 2};
    for (std::size_t i = 0; i < pixels.size(); ++i)
      pixels.data()[i] = 1000.0F + static_cast<float>(rng.below(i, 200)) +
                         ((i / channels / columns / 12) % 2 == 0 ? 300.0F : 0.0F);
    return pixels;
  }
  void write_picture(std::string const& name, std::size_t rows, std::size_t columns,
                     std::size_t channels = 1) const {
    septum::io::write_tiff(path(name), picture(rows, columns, channels));
  }

  /// A data set of oblong cells.
  void write_dataset(std::string const& name, std::size_t side = 96) const {
    fs::create_directories(path(name));
    septum::image pixels = picture(side, side);
    septum::labels cells = xt::zeros<std::int32_t>({side, side});
    std::int32_t label = 0;
    for (std::size_t row = 6; row + 12 < side; row += 16)
      for (std::size_t column = 6; column + 12 < side; column += 16) {
        ++label;
        for (std::size_t i = 0; i < 8; ++i)
          for (std::size_t j = 0; j < 12; ++j) {
            cells(row + i, column + j) = label;
            pixels(row + i, column + j, 0) -= 700.0F;
          }
      }
    septum::io::write_tiff(path(name) / "phase.tif", pixels);
    septum::io::write_tiff(path(name) / "labels.tif", cells);
  }

  /// A model with random weights: enough for everything but accuracy.
  template <class Net = septum::bn_feature_net_31x31<>>
  void write_model(std::string const& name,
                   std::string const& architecture = "bn_feature_net_31x31",
                   std::vector<std::string> const& channels = {"phase"},
                   std::uint64_t seed = 1) const {
    septum::model model;
    model.description.architecture = architecture;
    model.description.signature = septum::base_stack_t<Net>::signature;
    model.description.receptive_field = septum::base_stack_t<Net>::receptive_field;
    model.description.channels = channels;
    model.description.classes = {"edge", "interior", "background"};
    model.description.normalizer = "median_box";
    model.description.normalizer_window = septum::base_stack_t<Net>::receptive_field;
    model.layout = septum::tensor_layout<Net>();
    model.parameter_sets.push_back(septum::he_normal<Net>({seed, 1}));
    septum::io::write_model(path(name), model);
  }

  /// Names in the folder that a run may not leave behind.
  [[nodiscard]] int hidden_leftovers() const {
    int count = 0;
    for (auto const& entry : fs::directory_iterator{folder_}) {
      auto const file = entry.path().filename().string();
      count += file.starts_with(".septum") ? 1 : 0;
    }
    return count;
  }

 private:
  fs::path folder_;
  std::string program_;
};

}  // namespace program_test
