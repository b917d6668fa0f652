#pragma once

/// The version of this copy of septum. CMake reads the three numbers from here; there is no other
/// place to change. They are macros so that a user's `#if` can see them.
#define SEPTUM_VERSION_MAJOR 0
#define SEPTUM_VERSION_MINOR 1
#define SEPTUM_VERSION_PATCH 0
