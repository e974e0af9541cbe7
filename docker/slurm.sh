#!/usr/bin/env bash
# Workers of a study that exists, one GPU each, as an array: sbatch docker/slurm.sh
# Create the study first (`tasearch optimize` with the same database and artifacts). The password of the database is
# in ~/.pgpass (mode 600). Change the lines below to yours; without GPUs leave --gpus-per-task out.
#SBATCH --job-name=tasearch
#SBATCH --array=1-8
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --gpus-per-task=1
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# Two minutes before the end the step is told to end: it saves its stage and exits with 143.
#SBATCH --signal=TERM@120
set -uo pipefail

export TASEARCH_STUDY_NAME="${TASEARCH_STUDY_NAME:-digits}"
export TASEARCH_STORAGE="${TASEARCH_STORAGE:-postgresql+psycopg://tasearch@database/tasearch}"
# On a disk that all nodes share.
export TASEARCH_HOME="${TASEARCH_HOME:-$HOME/tasearch-data}"
export TASEARCH_ARTIFACTS="${TASEARCH_ARTIFACTS:-$TASEARCH_HOME/artifacts}"

srun tasearch worker --threads "${SLURM_CPUS_PER_TASK:-1}"
code=$?

# Out of time, but not at the study's end: once more.
if [ "$code" -eq 143 ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$code"
