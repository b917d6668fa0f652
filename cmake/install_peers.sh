#!/usr/bin/env bash
# Prints the path of a Python with the packages that the peer tests want: the one that SEPTUM_PYTHON
# names, or one put into a folder from PyPI (about 100 MB to download). Prints nothing when neither
# can be had; the tests then say that they are skipped.
#
# usage: cmake/install_peers.sh DIR
set -euo pipefail
folder=${1:?usage: install_peers.sh DIR}
wanted="$(dirname "${BASH_SOURCE[0]}")/../tests/golden/requirements.txt"

if [[ -n ${SEPTUM_PYTHON:-} ]]; then
  echo "$SEPTUM_PYTHON"
  exit 0
fi
if [[ ! -e $folder/complete ]]; then
  if ! { python3 -m venv "$folder" && "$folder/bin/pip" install -q -r "$wanted" &&
    touch "$folder/complete"; } >&2; then
    echo "${0##*/}: the peers cannot be had from PyPI; their tests are skipped" >&2
    exit 0
  fi
fi
echo "$folder/bin/python"
