"""Resolution of settings: flag, then environment, then study file, then default."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tasearch.config.settings import Settings
from tasearch.domain.errors import ConfigError, nearest

ENVIRONMENT_PREFIX = "TASEARCH_"
DASHBOARD_PASSWORD = "TASEARCH_DASHBOARD_PASSWORD"
"""What `tasearch dashboard` asks visitors for; no setting, so that it is never stored with a study."""


def resolve(flags: Mapping[str, Any], environment: Mapping[str, str], study_file: Path | None) -> Settings:
    """Return the settings; raises ConfigError naming the setting, its value, where it came from, what is allowed."""
    origins: dict[str, str] = {}
    values: dict[str, Any] = {}

    def take(name: str, value: Any, origin: str) -> None:
        values[name], origins[name] = value, origin

    if study_file is not None:
        for name, value in read_study_file(study_file).items():
            take(name, value, f"{name} in {study_file}")
    _refuse_unknown_variables(environment)
    if environment.get("OPTUNA_STORAGE"):
        take("storage", environment["OPTUNA_STORAGE"], "OPTUNA_STORAGE")
    for name in Settings.model_fields:
        variable = ENVIRONMENT_PREFIX + name.upper()
        if environment.get(variable):
            take(name, environment[variable], variable)
    for name, value in flags.items():
        if value is not None:
            take(name, value, flag_of(name))
    try:
        return Settings(**values)
    except ValidationError as error:
        raise config_error(error, origins) from None


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    known = [ENVIRONMENT_PREFIX + name.upper() for name in Settings.model_fields]
    for variable in environment:
        foreign = not variable.startswith(ENVIRONMENT_PREFIX) or variable.startswith(f"{ENVIRONMENT_PREFIX}TEST_")
        foreign = foreign or variable == DASHBOARD_PASSWORD
        if not foreign and variable not in known:
            raise ConfigError(f"unknown environment variable {variable}", hint=nearest(variable, known))


def read_study_file(path: Path) -> dict[str, Any]:
    """Read a TOML study file, keys named as the flags (`max-tas` and `max_tas` are the same).

    Raises ConfigError where the file is missing, no TOML, or has an unknown key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"study file {path} cannot be read: {error.strerror or error}",
            hint="give the path of a TOML file to --study",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"study file {path} is not valid TOML: {error}",
            hint="write one `key = value` a line, keys named as the flags",
        ) from None
    known = list(Settings.model_fields)
    found: dict[str, Any] = {}
    for key, value in content.items():
        name = key.replace("-", "_")
        if name not in known:
            raise ConfigError(f"unknown key `{key}` in {path}", hint=nearest(name, known))
        if name in found:
            raise ConfigError(f"`{key}` is in {path} twice, with `-` and with `_`", hint="remove one of them")
        found[name] = value
    return found


def flag_of(name: str) -> str:
    """Return the flag of a setting: `max_tas` is `--max-tas`."""
    return "--" + name.replace("_", "-")


def config_error(error: ValidationError, origins: Mapping[str, str]) -> ConfigError:
    """Turn the first finding into one line; the others would be found next time.

    `origins`: where each setting came from, by its name; those that are not there are called by their flag.
    """
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "?"
    if name not in Settings.model_fields:
        return ConfigError(f"unknown setting `{name}`", hint=nearest(name, list(Settings.model_fields)))
    origin = origins.get(name, flag_of(name))
    if first["type"] == "missing":
        return ConfigError(f"{flag_of(name)} is missing", hint=f"say {flag_of(name)} NAME, e.g. {_EXAMPLES[name]}")
    reason = first["msg"].removeprefix("Value error, ")
    reason = reason[0].lower() + reason[1:]
    description = Settings.model_fields[name].description or ""
    return ConfigError(f"{origin}: got {first['input']!r}, {reason}", hint=f"{flag_of(name)}: {description}")


_EXAMPLES = {"teacher": "--teacher resnet110", "student": "--student resnet8"}
