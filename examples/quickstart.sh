#!/usr/bin/env bash
# Builds the program septum and runs its demonstration: a growing colony is simulated, a net is
# trained on one annotated frame, and the movie is segmented, tracked, measured and scored.
#
# usage: bash examples/quickstart.sh        (root, or a user who may sudo; Debian or Ubuntu)
#
# Results go to ./quickstart; the first file to open is quickstart/report.html.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build="$root/build/quickstart"

echo "[1/3] Packages"
"$root/cmake/install_packages.sh" program

echo "[2/3] Building septum (once; one to three minutes)"
# Kernels for one kind of GPU, where nvcc is installed: newer ones translate them when they start.
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSEPTUM_CUDA_ARCHITECTURES=75 \
  -DSEPTUM_BUILD_TESTS=OFF -DSEPTUM_BUILD_BENCHMARKS=OFF -DSEPTUM_WARNINGS_AS_ERRORS=OFF >/dev/null
cmake --build "$build" --target septum

echo "[3/3] The demonstration"
"$build/bin/septum" demo --out quickstart
