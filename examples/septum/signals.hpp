#pragma once

namespace program {

/// Makes SIGINT, SIGTERM and SIGHUP set a flag; a second one ends the program at once.
void catch_signals();

/// Number of the signal that arrived, or 0.
[[nodiscard]] int caught_signal();

/// Polled by every long loop: throws septum::interrupted_error once a signal has arrived.
void stop_if_interrupted();

}  // namespace program
