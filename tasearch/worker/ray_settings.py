"""What `--launcher ray` needs of the settings: places that every node finds, devices that Ray gives out."""

from __future__ import annotations

from pathlib import Path

from tasearch.config.settings import Settings
from tasearch.domain.errors import ConfigError

_FOLDER = "folder:"


def settings_of_driver(settings: Settings) -> Settings:
    """Return the settings of the process that starts the actors: it checks everything, but computes nothing.

    Paths become absolute, since a worker's current folder is Ray's. Raises ConfigError where device and Ray's GPUs
    contradict one another.
    """
    given = "is not said" if settings.gpus_per_worker is None else f"is {settings.gpus_per_worker:g}"
    wanted = {"auto": None, "cpu": False, "cuda": True}
    if settings.device not in wanted or wanted[settings.device] is (settings.gpus_per_worker is None):
        raise ConfigError(
            f"--launcher ray: --device {settings.device}, but --gpus-per-worker {given}",
            hint="Ray shows a worker the GPUs that --gpus-per-worker gives it, and no others: leave --device out",
        )
    places = {
        "home": settings.home.absolute(),
        "data_dir": settings.data_dir and settings.data_dir.absolute(),
        "artifacts": settings.artifacts and _absolute(settings.artifacts),
        "storage": settings.storage and _absolute_database(settings.storage),
        "dataset": settings.dataset,
    }
    if settings.dataset.startswith(_FOLDER):
        places["dataset"] = _FOLDER + _absolute(settings.dataset.removeprefix(_FOLDER))
    return settings.model_copy(update={**places, "device": "cpu" if settings.device == "cpu" else "auto"})


def settings_of_actor(settings: Settings) -> Settings:
    """Return the settings of one worker, from those of the driver."""
    return settings.model_copy(
        update={
            "workers": 1,
            "threads": threads_of_actor(settings),
            "launcher": "local",
            "gpus_per_worker": None,
            "device": "cpu" if settings.gpus_per_worker is None else "cuda:0",
        }
    )


def threads_of_actor(settings: Settings) -> int:
    """Return the CPU threads of a worker, which are the CPUs that Ray keeps for it."""
    return settings.threads or 1


def _absolute(place: str) -> str:
    return place if "://" in place else str(Path(place).expanduser().absolute())


def _absolute_database(url: str) -> str:
    driver, slashes, path = url.partition(":///")
    return f"{driver}{slashes}{Path(path).absolute()}" if driver.startswith("sqlite") and path else url
