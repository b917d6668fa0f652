#!/usr/bin/env bash
# A whole experiment on a cluster: positions are dealt to the processes of the job, and one that is
# done early takes positions from the others. Needs septum built with -DSEPTUM_WITH_MPI=ON, the
# same path to it and to the data on every node.
#
#   sbatch examples/slurm/experiment.sh experiment.toml
#
# A job that ran out of time goes on where it stopped when it is submitted again.
#SBATCH --job-name=septum
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=4
#SBATCH --mem-per-cpu=2G
#SBATCH --time=08:00:00
# Checkpoints are written within seconds of the signal.
#SBATCH --signal=TERM@60
set -euo pipefail

config=${1:?usage: sbatch experiment.sh CONFIG.toml}
septum=${SEPTUM:-septum}

# --enable-recovery: a process that dies costs the position it was at, which another one repeats,
# and does not end the others.
exec mpirun --enable-recovery --map-by "slot:PE=${SLURM_CPUS_PER_TASK:-1}" \
  "$septum" run "$config" --threads "${SLURM_CPUS_PER_TASK:-1}"
