"""One tree of errors; each knows its exit code and what the user can do next.

TasearchError                1  something failed that was asked for correctly
├── UsageError               2  the request itself cannot be carried out as typed
│   ├── ConfigError             a setting, flag, environment variable or study file
│   ├── ModelError              an unknown model, or one that cannot take the data
│   ├── DataError               a dataset that cannot be had or read
│   └── StorageError            a database, artifact location or folder that cannot be used
│       └── UnavailableError 1  one that could be used and failed while a study ran
├── NoCompletedTrialError    3  the budget ended and no trial completed
├── ArtifactError            1  stored bytes are missing or do not match their hash
├── StageFailedError         1  a training run diverged or broke
├── StoppedError             1  the workers of the study were asked to end, and it can go on
└── LeaseLostError           1  another worker has taken over what this one was doing
"""

from __future__ import annotations


class TasearchError(Exception):
    """Something failed; `hint` says what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(TasearchError):
    """The request cannot be carried out as typed."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting is unknown, malformed or out of range."""


class ModelError(UsageError):
    """A model is unknown or cannot take the data."""


class DataError(UsageError):
    """A dataset cannot be had or read."""


class StorageError(UsageError):
    """A database, artifact location or folder cannot be used."""


class UnavailableError(StorageError):
    """A database, artifact location or folder failed while a study ran: nothing is wrong with the request."""

    exit_code = 1


class NoCompletedTrialError(TasearchError):
    """The budget ended with no completed trial."""

    exit_code = 3


class ArtifactError(TasearchError):
    """Stored bytes are missing or do not match their hash."""


class StageFailedError(TasearchError):
    """A training run diverged or broke; the message names stage, epoch and hyper-parameters."""


class StoppedError(TasearchError):
    """The workers of the study were asked to end (`tasearch stop`); the same call goes on from there."""


class LeaseLostError(TasearchError):
    """Another worker holds what this one was working on; nothing may be recorded."""


def nearest(name: str, known: list[str]) -> str:
    """Return a hint that names the closest known word, or lists them all."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    listing = "known: " + ", ".join(known)
    return f"did you mean `{close[0]}`? {listing}" if close else listing
