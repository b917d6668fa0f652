#include "signals.hpp"

#include <csignal>
#include <septum/core/error.hpp>
#include <string>

namespace program {
namespace {

volatile std::sig_atomic_t arrived = 0;

extern "C" void remember(int signal) {
  arrived = signal;
  std::signal(signal, SIG_DFL);
}

}  // namespace

void catch_signals() {
  for (int const signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, remember);
  std::signal(SIGPIPE, SIG_IGN);
}

int caught_signal() { return arrived; }

void stop_if_interrupted() {
  if (arrived != 0)
    throw septum::interrupted_error("septum.program.1",
                                    "stopped by signal " + std::to_string(arrived));
}

}  // namespace program
