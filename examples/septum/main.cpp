#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <new>
#include <septum/core/error.hpp>
#include <septum/version.hpp>
#include <string>

#include "options.hpp"
#include "process_group.hpp"
#include "signals.hpp"

namespace {

// Exit codes: 2 usage, otherwise the fault's own number, 128 + n after a signal.
int report(std::string const& text, int code) {
  std::cerr << "septum: " << text << std::endl;
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  program::process_group const processes;
  program::catch_signals();
  program::common_options common;
  CLI::App app{"septum: live-cell images to segmented, measured cells"};
  app.set_version_flag("--version", std::to_string(SEPTUM_VERSION_MAJOR) + "." +
                                        std::to_string(SEPTUM_VERSION_MINOR) + "." +
                                        std::to_string(SEPTUM_VERSION_PATCH));
  app.require_subcommand(1);
  app.footer("septum COMMAND --help explains each command with an example.");
  program::register_demo(app, common);
  program::register_simulate(app, common);
  program::register_train(app, common);
  program::register_study(app, common);
  program::register_segment(app, common);
  program::register_track(app, common);
  program::register_evaluate(app, common);
  program::register_convert(app, common);
  program::register_measure(app, common);
  program::register_report(app, common);
  program::register_run(app, common);
  program::register_plating(app, common);
  program::register_info(app, common);
  try {
    app.parse(argc, argv);
  } catch (CLI::ParseError const& usage) {
    return app.exit(usage) == 0 ? 0 : 2;
  } catch (septum::interrupted_error const& stopped) {
    return report(stopped.message(), 128 + program::caught_signal());
  } catch (septum::error const& failure) {
    return report(failure.message() + " [" + failure.id() + "]", static_cast<int>(failure.kind()));
  } catch (std::bad_alloc const&) {
    return report("out of memory; use smaller tiles (--memory) or a smaller image",
                  static_cast<int>(septum::fault::resource));
  } catch (std::exception const& failure) {
    return report(std::string{"internal error: "} + failure.what(),
                  static_cast<int>(septum::fault::internal));
  }
  return 0;
}
