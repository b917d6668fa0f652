#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that are missing for a purpose.
#
# usage: cmake/install_packages.sh program|tests|checks
#
#   program  to build and run the program septum
#   tests    the same, and what the tests need
#   checks   the same, clang 14 with its formatter and its linter
set -euo pipefail

program=(g++ cmake ninja-build libeigen3-dev libxtensor-dev libdnnl-dev libtiff-dev libpng-dev
  zlib1g-dev nlohmann-json3-dev libcli11-dev libtomlplusplus-dev)
tests=(libboost-test-dev python3)
checks=(clang-14 clang-tidy-14 clang-format-14 libomp-14-dev git python3-venv)
# The test of the report wants a browser and skips where there is none; Ubuntu has it as a snap only.
if grep -qs '^ID=debian' /etc/os-release; then tests+=(chromium); fi

case "${1:-}" in
  program) wanted=("${program[@]}") ;;
  tests) wanted=("${program[@]}" "${tests[@]}") ;;
  checks) wanted=("${program[@]}" "${tests[@]}" "${checks[@]}") ;;
  *)
    echo "usage: ${0##*/} program|tests|checks" >&2
    exit 2
    ;;
esac

if ! command -v apt-get >/dev/null; then
  echo "${0##*/}: no apt-get here; please see to it that these are installed: ${wanted[*]}" >&2
  exit 0
fi

missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [[ $status == "install ok installed" ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then exit 0; fi

as_root=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "${0##*/}: run this as root, then start again: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "Installing ${missing[*]} (a minute or two)"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
