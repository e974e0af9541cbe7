"""`--launcher ray` on a real Ray cluster of two nodes on this machine, one of which is killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.conftest import BUDGET, Done, Place
from tests.suite.waiting import wait_until

pytest.importorskip("ray", reason="needs the package ray: pip install 'tasearch[ray]'")

pytestmark = pytest.mark.slow
ON_RAY = ("--launcher", "ray", "--workers", "2", "--epochs", "8", "--json")
TRIALS = 4
_SMALL_STORE = 80 * 2**20
"""Bytes of Ray's object store, the least it takes: nothing of ours goes through it."""
_NOTICE = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
"""A dead node is noticed in seconds instead of half a minute."""
PASSWORD = "open-sesame-7731"


@dataclass
class TwoNodes:
    """The cluster; the second node has room for one worker, the first for two."""

    cluster: Any
    second: Any

    @property
    def logs(self) -> Path:
        """Where Ray writes everything that it says."""
        return Path(self.cluster.head_node.get_session_dir_path())

    def workers_on(self, node: Any) -> set[int]:
        """Process numbers of the actors of a node."""
        (raylet,) = node.all_processes["raylet"]
        below = psutil.Process(raylet.process.pid).children(recursive=True)
        return {process.pid for process in below if _is_actor(process)}


def _is_actor(process: psutil.Process) -> bool:
    try:
        return "ray::RayWorker" in " ".join(process.cmdline())
    except psutil.Error:
        # It has just ended.
        return False


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[TwoNodes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        lean: dict[str, Any] = {"num_gpus": 0, "include_dashboard": False, "object_store_memory": _SMALL_STORE}
        cluster: Any = Cluster(initialize_head=True, head_node_args={**lean, "num_cpus": 2, "_system_config": _NOTICE})
        second = cluster.add_node(**lean, num_cpus=1)
        cluster.wait_for_nodes()
        patch.setenv("RAY_ADDRESS", cluster.address)
        nodes = TwoNodes(cluster, second)
        logs = nodes.logs
        yield nodes
        cluster.shutdown()
        shutil.rmtree(logs, ignore_errors=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("ray"), images)
    yield place
    place.close()


@dataclass(frozen=True)
class Killed:
    """A study during which a node was killed."""

    done: Done
    died: int
    """Process number of the worker that was on it."""
    restarted: set[int]
    """Process numbers of workers that Ray started afterwards on the other node."""


@pytest.fixture(scope="module")
def refused(two_nodes: TwoNodes, tmp_path_factory: pytest.TempPathFactory, images: Path) -> subprocess.CompletedProcess:  # type: ignore[type-arg]
    """A call whose database, with a password in its URL, cannot be reached by any worker."""
    url = f"postgresql+psycopg://someone:{PASSWORD}@127.0.0.1:1/db"
    arguments = [
        sys.executable,
        "-m",
        "tasearch",
        "optimize",
        *BUDGET,
        "--dataset",
        f"folder:{images}",
        *ON_RAY,
        "--workers",
        "1",
    ]
    return subprocess.run(
        arguments,
        cwd=tmp_path_factory.mktemp("refused"),
        env={**os.environ, "TASEARCH_STORAGE": url},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def killed(two_nodes: TwoNodes, place: Place, refused: object) -> Killed:
    # Long enough that Ray starts the lost worker again while there is work.
    run = place.optimize(*ON_RAY, "--epochs", "30", trials=TRIALS)
    run.wait_for("trial 0: ")
    wait_until(
        lambda: len(place.rows("SELECT worker_id FROM tasearch_workers")) == 2,
        check=lambda: run.must_run("there were two workers"),
    )
    (died,), survivors = two_nodes.workers_on(two_nodes.second), two_nodes.workers_on(two_nodes.cluster.head_node)
    two_nodes.cluster.remove_node(two_nodes.second, allow_graceful=False)
    restarted = wait_until(
        lambda: two_nodes.workers_on(two_nodes.cluster.head_node) - survivors,
        check=lambda: run.must_run("Ray had started the lost worker again"),
    )
    done = run.finish()
    assert done.code == 0, done.err
    return Killed(done, died, restarted)


def test_a_study_survives_the_death_of_a_node(killed: Killed) -> None:
    assert killed.done.answer["trials"] == {"complete": TRIALS, "pruned": 0, "failed": 0}
    assert killed.done.answer["verdict"]["n"] == 2


def test_stages_of_the_lost_worker_are_counted(killed: Killed, place: Place) -> None:
    complete = place.rows("SELECT COUNT(*) FROM tasearch_stages WHERE state = 'complete'")[0][0]
    assert killed.done.answer["stages"]["trained"] == complete


def test_the_recorded_command_is_the_one_that_was_typed(killed: Killed, place: Place) -> None:
    ((config,),) = place.rows("SELECT config FROM tasearch_studies")
    command = json.loads(config)["command"]
    assert "--launcher ray" in command
    assert "--workers 2" in command


def test_every_stage_has_one_completion(killed: Killed, place: Place) -> None:
    assert place.rows("SELECT DISTINCT state FROM tasearch_stages") == [("complete",)]
    assert len(place.weights()) == place.rows("SELECT COUNT(*) FROM tasearch_stages")[0][0]


def test_ray_starts_the_lost_worker_again_on_the_other_node(killed: Killed) -> None:
    assert not psutil.pid_exists(killed.died) or not _is_actor(psutil.Process(killed.died))
    assert len(killed.restarted) == 1


def test_an_error_of_every_worker_is_the_calls_error(refused: subprocess.CompletedProcess[str]) -> None:
    assert refused.returncode == 2, refused.stderr
    assert refused.stderr.count("error: ") == 1
    assert "127.0.0.1" in refused.stderr


def test_a_password_is_in_no_log_and_no_process_list(
    refused: subprocess.CompletedProcess[str], two_nodes: TwoNodes
) -> None:
    assert PASSWORD not in refused.stderr + refused.stdout
    files = [path for path in two_nodes.logs.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []
    assert [process for process in psutil.process_iter(["cmdline"]) if PASSWORD in str(process.info["cmdline"])] == []
