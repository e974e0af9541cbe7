"""The command line that repeats a study."""

from __future__ import annotations

import shlex

from tasearch.config.resolve import flag_of
from tasearch.config.settings import Settings
from tasearch.domain.spec import spelled

_LOCATIONS = ("home", "storage", "artifacts", "data_dir", "study_name")


def command_of(settings: Settings, study_name: str, precision: str) -> str:
    """Return `tasearch optimize ...` with every setting that is not its default; locations are left out.

    `precision` is the resolved one: elsewhere `auto` may choose another. A study that was named by hand keeps its
    name; a generated name follows from the rest.
    """
    words = ["tasearch", "optimize"]
    for name, field in Settings.model_fields.items():
        value = precision if name == "precision" else getattr(settings, name)
        # The device of a call with --gpus follows from them.
        follows = name == "device" and settings.gpus is not None
        if name in _LOCATIONS or follows or value is None or (not field.is_required() and value == field.default):
            continue
        words += [flag_of(name), _text(value)]
    if settings.study_name is not None:
        words += [flag_of("study_name"), study_name]
    return shlex.join(words)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(_text(item) for item in value)
    return spelled(value) if isinstance(value, float) else str(value)
