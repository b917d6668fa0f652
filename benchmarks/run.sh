#!/usr/bin/env bash
# Builds the benchmarks and runs them: how cost grows, each layer's share of the machine's peak and,
# with a Python that has PyTorch, the comparison with it, one program after the other.
#
# usage: benchmarks/run.sh [--out DIR] [--build-dir DIR] [--python PYTHON]
#
#   --out        folder for results: JSON, tables and figures (benchmark-results)
#   --build-dir  where to build (build/benchmarks)
#   --python     a Python with torch and numpy; without one no peer takes part
#                (python3 -m venv peers && peers/bin/pip install torch numpy)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=benchmark-results
build="$root/build/benchmarks"
python=python3
while (($#)); do
  case "$1" in
    --out) out=${2:?--out needs a folder} && shift ;;
    --build-dir) build=${2:?--build-dir needs a folder} && shift ;;
    --python) python=${2:?--python needs a program} && shift ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" && exit 0 ;;
    *) echo "${0##*/}: unknown option $1 (see --help)" >&2 && exit 2 ;;
  esac
  shift
done

"$root/cmake/install_packages.sh" program
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSEPTUM_BUILD_TESTS=OFF \
  -DSEPTUM_BUILD_EXAMPLES=OFF -DSEPTUM_WARNINGS_AS_ERRORS=OFF >/dev/null
cmake --build "$build" --target bench_frame bench_train bench_regions bench_tracking

"$python" "$root/benchmarks/growth.py" --programs "$build/bin" --out "$out"
if "$python" -c "import torch, numpy" 2>/dev/null; then
  "$python" "$root/benchmarks/compare.py" --programs "$build/bin" --threads "$(nproc)" \
    --out "$out/comparison.json"
else
  echo "No PyTorch in $python: no comparison (see --help)."
fi
echo "Results: $out"
