"""docker/slurm.sh, run by bash with a `srun` and a `scontrol` that only say what they were asked."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.placement.checks import FILES, check_command, program

SCRIPT = FILES / "slurm.sh"


@dataclass(frozen=True)
class Ran:
    code: int
    srun: list[str]
    environment: dict[str, str]
    scontrol: list[str]


def run(folder: Path, code: int) -> Ran:
    """Run the script where `srun` ends with a code."""
    note = 'printf "%s\\n" "$@" > "$NOTES/$(basename "$0")"'
    for name, end in (("srun", f'env > "$NOTES/environment"; exit {code}'), ("scontrol", "exit 0")):
        (folder / name).write_text(f"#!/bin/sh\n{note}\n{end}\n")
        (folder / name).chmod(0o755)
    notes = folder / "notes"
    notes.mkdir()
    slurm = {"SLURM_CPUS_PER_TASK": "2", "SLURM_ARRAY_JOB_ID": "71", "SLURM_ARRAY_TASK_ID": "3"}
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder), "NOTES": str(notes), **slurm}
    done = subprocess.run(["bash", str(SCRIPT)], env=environment, capture_output=True, text=True, check=False)
    said = {path.name: path.read_text().splitlines() for path in notes.iterdir()}
    seen = dict(line.split("=", 1) for line in said["environment"] if "=" in line)
    return Ran(done.returncode, said["srun"], seen, said.get("scontrol", []))


def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run([program("shellcheck"), str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""


def test_its_command_and_variables_exist(tmp_path: Path) -> None:
    ran = run(tmp_path, 0)
    assert ran.srun[0] == "tasearch"
    check_command(ran.srun[1:], ran.environment)
    assert {name for name in ran.environment if name.startswith("TASEARCH_")} == {
        "TASEARCH_STUDY_NAME",
        "TASEARCH_STORAGE",
        "TASEARCH_HOME",
        "TASEARCH_ARTIFACTS",
    }


def test_a_worker_that_ran_out_of_time_is_queued_again(tmp_path: Path) -> None:
    ran = run(tmp_path, 143)
    assert (ran.code, ran.scontrol) == (143, ["requeue", "71_3"])


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_worker_that_ended_otherwise_is_not(tmp_path: Path, code: int) -> None:
    ran = run(tmp_path, code)
    assert (ran.code, ran.scontrol) == (code, [])
