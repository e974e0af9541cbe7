"""docker/compose.yaml, read by Compose itself; nothing is built or started."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any

import pytest

from tasearch.config.resolve import DASHBOARD_PASSWORD
from tests.unit.placement.checks import FILES, check_command, program

PASSWORD = "open-sesame-7731"


def compose(*files: str, password: str | None = PASSWORD) -> subprocess.CompletedProcess[str]:
    """Run `docker compose config` on files of `docker/`."""
    named = [word for name in files for word in ("-f", str(FILES / name))]
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DB_PASSWORD", "DASHBOARD_PASSWORD", "STUDY_NAME")
    }
    if password is not None:
        environment |= {"DB_PASSWORD": password, "DASHBOARD_PASSWORD": password}
    # Not the .env of whoever runs the tests.
    command = [program("docker-compose"), "--env-file", os.devnull, *named, "config", "--format", "json"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", params=[("compose.yaml",), ("compose.yaml", "compose.cuda.yaml")], ids=["cpu", "cuda"])
def services(request: pytest.FixtureRequest) -> dict[str, Any]:
    done = compose(*request.param)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["services"]
    assert isinstance(found, dict)
    return found


def test_it_has_a_database_a_study_workers_and_a_dashboard(services: dict[str, Any]) -> None:
    assert set(services) == {"db", "init", "study", "worker", "dashboard"}


@pytest.mark.parametrize("name", ["init", "study", "worker", "dashboard"])
def test_its_commands_exist(services: dict[str, Any], name: str) -> None:
    assert "entrypoint" not in services[name] or services[name]["entrypoint"] is None
    check_command(services[name]["command"], services[name]["environment"])


def test_the_dashboard_asks_for_a_password_and_only_shows(services: dict[str, Any]) -> None:
    dashboard = services["dashboard"]
    assert "--auth" in dashboard["command"]
    assert "--allow-write" not in dashboard["command"]
    assert dashboard["environment"][DASHBOARD_PASSWORD] == PASSWORD


def test_the_dashboard_reads_the_same_database(services: dict[str, Any]) -> None:
    assert services["dashboard"]["environment"].items() >= services["worker"]["environment"].items()


def test_the_dashboard_listens_on_this_machine_only(services: dict[str, Any]) -> None:
    assert [port["host_ip"] for port in services["dashboard"]["ports"]] == ["127.0.0.1"]
    assert [name for name, service in services.items() if "ports" in service] == ["dashboard"]


def test_workers_can_be_scaled(services: dict[str, Any]) -> None:
    assert "container_name" not in services["worker"]
    assert "ports" not in services["worker"]


def test_workers_start_once_the_database_is_ready(services: dict[str, Any]) -> None:
    assert services["init"]["depends_on"]["db"]["condition"] == "service_healthy"
    for name in ("study", "worker", "dashboard"):
        assert services[name]["depends_on"]["init"]["condition"] == "service_completed_successfully"


def test_all_that_train_share_their_data(services: dict[str, Any]) -> None:
    for name in ("study", "worker"):
        assert [(volume["source"], volume["target"]) for volume in services[name]["volumes"]] == [("data", "/data")]


def test_the_password_is_in_no_command_and_no_url(services: dict[str, Any]) -> None:
    for service in services.values():
        variables = {name for name, value in service["environment"].items() if PASSWORD in value}
        assert variables <= {"PGPASSWORD", "POSTGRES_PASSWORD", DASHBOARD_PASSWORD}
        assert PASSWORD not in json.dumps({key: value for key, value in service.items() if key != "environment"})


def test_without_a_password_nothing_starts_and_what_to_do_is_said() -> None:
    done = compose("compose.yaml", password=None)
    assert done.returncode != 0
    assert "copy docker/env.example to docker/.env" in done.stderr


def test_the_example_names_every_variable() -> None:
    asked = set(re.findall(r"\$\{(\w+)", (FILES / "compose.yaml").read_text()))
    lines = (FILES / "env.example").read_text().splitlines()
    assert {line.partition("=")[0] for line in lines if not line.startswith("#")} == asked


def test_gpus_go_to_those_that_train() -> None:
    found = json.loads(compose("compose.yaml", "compose.cuda.yaml").stdout)["services"]
    with_gpus = {name for name, service in found.items() if "gpu" in json.dumps(service.get("deploy", {}))}
    assert with_gpus == {"study", "worker"}
    assert {found[name]["build"]["args"]["ACCELERATOR"] for name in ("study", "worker")} == {"cuda"}
