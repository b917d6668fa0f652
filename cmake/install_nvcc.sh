#!/usr/bin/env bash
# Prints the path of an nvcc of CUDA 13: the one that is installed, or one put into a folder from
# PyPI (about 105 MB to download, 300 MB on disk). Prints nothing when neither can be had.
#
# usage: cmake/install_nvcc.sh DIR
set -euo pipefail
folder=${1:?usage: install_nvcc.sh DIR}

for nvcc in "$(command -v nvcc || true)" /usr/local/cuda/bin/nvcc; do
  if [[ -n $nvcc && -x $nvcc ]] && "$nvcc" --version | grep -q 'release 13'; then
    echo "$nvcc"
    exit 0
  fi
done

find_it() { compgen -G "$folder/lib/python3*/site-packages/nvidia/cu13/bin/nvcc" || true; }
if [[ -z $(find_it) ]]; then
  if ! { python3 -m venv "$folder" && "$folder/bin/pip" install -q --no-deps \
    nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 \
    nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85; } >&2; then
    echo "${0##*/}: nvcc cannot be had from PyPI; GPU kernels are not compiled" >&2
  fi
fi
find_it
