#!/usr/bin/env bash
# Installs what the tests need, builds them and runs them through CTest.
#
# usage: tests/run.sh [--quick | --all] [--build-dir DIR] [--jobs N]
#
#   --quick      without the long tests and the examples
#   --all        also the checks of the build: every header alone, one-definition rule, clang,
#                installation and use by other projects; peer tests in Python (packages from
#                PyPI); kernels for GPUs (nvcc, from PyPI where it is not installed)
#   --build-dir  where to build (build/tests)
#   --jobs       how many compilers and tests at once (one per core, memory permitting)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

scope=usual
build="$root/build/tests"
jobs=
while (($#)); do
  case "$1" in
    --quick) scope=quick ;;
    --all) scope=all ;;
    --build-dir) build=${2:?--build-dir needs a folder} && shift ;;
    --jobs) jobs=${2:?--jobs needs a number} && shift ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" && exit 0 ;;
    *) echo "${0##*/}: unknown option $1 (see --help)" >&2 && exit 2 ;;
  esac
  shift
done

if [[ -z $jobs ]]; then
  cores=$(nproc)
  by_memory=$(awk '/MemAvailable/ {print int($2 / 1500000)}' /proc/meminfo)
  jobs=$((by_memory < cores ? (by_memory > 1 ? by_memory : 1) : cores))
fi

stage() { echo "== $1 (after ${SECONDS} s)"; }

stage "packages"
if [[ $scope == all ]]; then
  "$root/cmake/install_packages.sh" checks
else
  "$root/cmake/install_packages.sh" tests
fi

options=()
if [[ $scope == all ]]; then
  stage "nvcc"
  nvcc=$("$root/cmake/install_nvcc.sh" "$build/nvcc")
  [[ -z $nvcc ]] || options+=("-DSEPTUM_NVCC=$nvcc")
  stage "peers"
  python=$("$root/cmake/install_peers.sh" "$build/peers")
  [[ -z $python ]] || export SEPTUM_PYTHON="$python"
fi

stage "configure"
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release "${options[@]}"

stage "format and layers"
ctest --test-dir "$build" --output-on-failure -L lint

stage "build"
cmake --build "$build" --parallel "$jobs"

stage "tests"
case $scope in
  quick) select=(-LE "long|build|example") ;;
  usual) select=(-LE "build") ;;
  all) select=() ;;
esac
exec ctest --test-dir "$build" --output-on-failure --parallel "$jobs" "${select[@]}"
