#!/usr/bin/env bash
# One net trained by several processes: every batch is dealt out in as many parts as there are
# processes, and the gradients are summed in the same order whatever their number.
#
#   sbatch examples/slurm/training.sh mydata model.safetensors
#
#SBATCH --job-name=septum-train
#SBATCH --nodes=1
#SBATCH --ntasks=4
#SBATCH --cpus-per-task=4
#SBATCH --mem-per-cpu=2G
#SBATCH --time=02:00:00
set -euo pipefail

data=${1:?usage: sbatch training.sh DATASET MODEL.safetensors}
model=${2:?usage: sbatch training.sh DATASET MODEL.safetensors}

resume=()
[[ ! -e $model.checkpoint.0 ]] || resume=(--resume)
exec mpirun --map-by "slot:PE=${SLURM_CPUS_PER_TASK:-1}" "${SEPTUM:-septum}" train "$data" \
  --model "$model" --parts 0 --threads "${SLURM_CPUS_PER_TASK:-1}" "${resume[@]}"
