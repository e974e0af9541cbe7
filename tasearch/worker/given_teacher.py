"""The teacher of `--teacher-checkpoint`: read from its file once, then known by the hash of its weights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tasearch.chain.stages import named_model
from tasearch.config.settings import Settings
from tasearch.domain.errors import ConfigError
from tasearch.domain.spec import DataSpec
from tasearch.models.inspection import identified
from tasearch.stores.artifacts import ArtifactStore
from tasearch.training.given_weights import read_checkpoint

PREFIX = "artifact:"
"""Instead of a file: weights that are stored already, by their SHA-256."""


@dataclass(frozen=True, kw_only=True)
class GivenTeacher:
    """A teacher that need not be trained, or none."""

    settings: Settings
    """With the hash of the weights in place of their file."""
    weights: bytes | None = None
    """To be stored; None: they are, or no teacher was given."""
    remarks: tuple[str, ...] = ()

    def store(self, artifacts: ArtifactStore) -> None:
        """Put the weights where other workers find them. Raises StorageError."""
        if self.weights is not None:
            artifacts.put(self.weights)


def given_teacher(settings: Settings, data: DataSpec, artifacts: ArtifactStore) -> GivenTeacher:
    """Read the teacher that the settings give, if any; nothing is written.

    Raises ModelError where a file does not fit, ConfigError where stored weights are not there, or something else
    cannot be with a given teacher.
    """
    source = settings.teacher_checkpoint
    if source is None:
        return GivenTeacher(settings=settings)
    if "teacher" in (settings.pretrained or ()):
        raise ConfigError(
            "--pretrained teacher with --teacher-checkpoint: the teacher has its weights from one of them",
            hint="leave teacher out of --pretrained",
        )
    if source.startswith(PREFIX):
        if not artifacts.exists(stored_id(source)):
            raise ConfigError(
                f"the teacher's weights {stored_id(source)[:12]} are not under {artifacts.location}",
                hint="say with --artifacts where the study keeps its weights; the command that created it, with "
                "--teacher-checkpoint FILE, puts them there again",
            )
        return GivenTeacher(settings=settings)
    path = Path(source).expanduser()
    found = read_checkpoint(path, identified(named_model(settings.teacher, data)))
    text = f"{PREFIX}{sha256(found.weights).hexdigest()}"
    return GivenTeacher(
        settings=settings.model_copy(update={"teacher_checkpoint": text}),
        weights=found.weights,
        remarks=tuple(f"teacher's weights from {path}: {remark}" for remark in found.remarks),
    )


def stored_id(text: str) -> str:
    """Return the SHA-256 of `artifact:SHA-256`. Raises ConfigError where it is none."""
    found = re.fullmatch(rf"{PREFIX}([0-9a-f]{{64}})", text)
    if found is None:
        raise ConfigError(
            f"--teacher-checkpoint {text}: no SHA-256 of 64 digits follows {PREFIX}", hint="give the file itself"
        )
    return found[1]
