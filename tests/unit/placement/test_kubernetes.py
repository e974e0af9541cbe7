"""docker/kubernetes.yaml against the schemas that Kubernetes publishes."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.unit.placement.checks import FILES, check_command


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    found = yaml.safe_load((FILES / "kubernetes.yaml").read_text())
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def container(job: dict[str, Any]) -> dict[str, Any]:
    (found,) = job["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("version", ["1.31", kubernetes_validate.latest_version()])
def test_it_fits_the_schema(job: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(job, version, strict=True)


def test_the_schema_refuses_an_unknown_key(job: dict[str, Any]) -> None:
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**job, "spec": {**job["spec"], "paralelism": 2}}, "1.31", strict=True)


def test_its_command_and_variables_exist(container: dict[str, Any]) -> None:
    assert "command" not in container
    check_command(container["args"], {entry["name"]: entry.get("value", "") for entry in container["env"]})


def test_the_password_comes_from_a_secret(container: dict[str, Any]) -> None:
    (password,) = [entry for entry in container["env"] if entry["name"] == "PGPASSWORD"]
    assert set(password["valueFrom"]) == {"secretKeyRef"}


def test_a_finished_study_starts_no_new_pods(job: dict[str, Any]) -> None:
    assert "completions" not in job["spec"]
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_no_root(job: dict[str, Any]) -> None:
    security = job["spec"]["template"]["spec"]["securityContext"]
    user = next(line for line in (FILES / "Dockerfile").read_text().splitlines() if line.startswith("USER "))
    assert security["runAsNonRoot"] is True
    assert user == f"USER {security['runAsUser']}"
