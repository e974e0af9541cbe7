from __future__ import annotations

from pathlib import Path

import pytest

from tasearch.config.settings import Settings
from tasearch.domain.errors import ConfigError
from tasearch.worker.ray_settings import settings_of_actor, settings_of_driver


def settings(**changes: object) -> Settings:
    return Settings(teacher="plain10", student="plain2", launcher="ray", **changes)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "given", "sent"),
    [
        ("home", "runs", "{here}/runs"),
        ("data_dir", "data", "{here}/data"),
        ("artifacts", "weights", "{here}/weights"),
        ("artifacts", "s3://bucket/weights", "s3://bucket/weights"),
        ("storage", "sqlite:///studies.db", "sqlite:///{here}/studies.db"),
        ("storage", "sqlite:////srv/studies.db", "sqlite:////srv/studies.db"),
        ("storage", "postgresql+psycopg://user@host/db", "postgresql+psycopg://user@host/db"),
        ("dataset", "folder:pets", "folder:{here}/pets"),
        ("dataset", "cifar10", "cifar10"),
    ],
)
def test_places_mean_the_same_on_every_node(tmp_path: Path, name: str, given: str, sent: str) -> None:
    found = settings_of_actor(settings_of_driver(settings(**{name: given})))
    assert str(getattr(found, name)) == sent.format(here=tmp_path)


@pytest.mark.parametrize(
    ("asked", "device"),
    [
        ({}, "cpu"),
        ({"device": "cpu"}, "cpu"),
        ({"gpus_per_worker": 0.125}, "cuda:0"),
        ({"device": "cuda", "gpus_per_worker": 1}, "cuda:0"),
    ],
    ids=str,
)
def test_a_worker_computes_on_what_ray_gives_it(asked: dict[str, object], device: str) -> None:
    assert settings_of_actor(settings_of_driver(settings(**asked))).device == device


@pytest.mark.parametrize(
    "asked", [{"device": "cuda"}, {"device": "cuda:1", "gpus_per_worker": 1}, {"device": "cpu", "gpus_per_worker": 1}]
)
def test_a_device_that_contradicts_rays_gpus_is_refused(asked: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"--device {asked['device']}, but --gpus-per-worker"):
        settings_of_driver(settings(**asked))


def test_the_driver_needs_no_gpu() -> None:
    assert settings_of_driver(settings(device="cuda", gpus_per_worker=0.5)).device == "auto"


@pytest.mark.parametrize(("threads", "cpus"), [(None, 1), (4, 4)])
def test_a_worker_is_one_process_with_its_threads(threads: int | None, cpus: int) -> None:
    found = settings_of_actor(settings(workers=16, threads=threads))
    assert (found.workers, found.threads, found.launcher) == (1, cpus, "local")
