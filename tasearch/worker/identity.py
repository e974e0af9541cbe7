"""What may not change within a study, and what is said where it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tasearch.chain.stages import StagePlanner
from tasearch.config.resolve import flag_of
from tasearch.config.settings import Settings
from tasearch.domain.errors import ConfigError
from tasearch.domain.fingerprint import plain
from tasearch.domain.metric import ACCURACY
from tasearch.domain.spec import ModelSpec
from tasearch.models.differing_parts import are_computed_values, differing_parts, recorded_parts
from tasearch.models.inspection import inspect_net
from tasearch.models.names import is_own
from tasearch.search.space import SearchSpace

_TEST = "test_hash"
_SHOWN = 4
"""Parts of a net that a message names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetParts:
    """What nets consist of, to say in which part one differs; no part of an identity."""

    of_study: Mapping[str, Mapping[str, str]]
    """As a study recorded them, by model; empty in studies from before they were recorded."""
    here: Callable[[str], Mapping[str, str]]
    """Returns those of a model in this process."""


def net_parts(config: Mapping[str, Any], stages: StagePlanner) -> NetParts:
    """Return the parts that a study recorded in its configuration, beside those of the nets here."""
    return NetParts(of_study=config.get("net_parts", {}), here=lambda name: parts_here(stages, name))


def parts_here(stages: StagePlanner, name: str) -> dict[str, str]:
    """Return short hashes of what a model of the user's consists of in this process; none for other models."""
    model = stages.models.get(name)
    return recorded_parts(inspect_net(model).parts) if model is not None and not is_own(name) else {}


def identity_of(space: SearchSpace, stages: StagePlanner, settings: Settings, test_hash: str) -> dict[str, Any]:
    """Return all that may not change within a study: two studies that differ in it have two names."""
    # Left out where it is not given: studies from before it could be given keep their identity.
    given = settings.ta_temperature is not None or settings.ta_kd_weight is not None
    ta_pair = {"ta_pair": list(space.ta_pair)} if given else {}
    # What is not as it was before there were other recipes: studies from then keep their identity.
    added: dict[str, Any] = {}
    if stages.other_recipes:
        added["other_recipes"] = plain(stages.other_recipes)
    if stages.kl_reduction != "batchmean":
        added["kl_reduction"] = stages.kl_reduction
    if stages.metric != ACCURACY:
        added["metric"] = stages.metric
    if stages.models:
        added["models"] = {name: _added_to_name(model) for name, model in stages.models.items()}
    if stages.teacher_weights is not None:
        added["teacher_weights"] = stages.teacher_weights
    return {
        **ta_pair,
        "teacher": space.teacher,
        "student": space.student,
        "tas": list(space.ladder),
        "max_tas": space.most_tas,
        "temperatures": list(space.temperatures),
        "kd_weights": list(space.kd_weights),
        "scope": space.scope,
        "sampler": settings.sampler,
        "pruner": settings.pruner,
        "seed": settings.seed,
        "data": {**stages.data.identity(), _TEST: test_hash},
        "recipe": plain(stages.recipe),
        "numerics_version": stages.numerics_version,
        **added,
    }


def _added_to_name(model: ModelSpec) -> dict[str, str]:
    return {"code": model.code} | ({"pretrained": model.pretrained} if model.pretrained else {})


def identity_difference(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return one line per setting in which two identities differ: `epochs 10, now 20`."""
    before, now = dict(_flat(stored)), dict(_flat(wanted))
    # Studies from before it belonged to their identity do not have it.
    left_out = () if f"data.{_TEST}" in before else (f"data.{_TEST}",)
    names = [name for name in sorted({*before, *now}) if name not in left_out]
    differing = [name for name in names if before.get(name) != now.get(name)]
    # What follows from other models (the ladder) is said after them.
    differing.sort(key=lambda name: name not in ("teacher", "student"))
    return [f"{name} {_shown(before.get(name))}, now {_shown(now.get(name))}" for name in differing]


def refuse_changed_identity(
    study_name: str, stored: Mapping[str, Any], wanted: Mapping[str, Any], parts: NetParts
) -> None:
    """Raise ConfigError with the difference where a study exists under this name with another configuration."""
    refuse_other_code(study_name, stored, wanted, parts)
    difference = identity_difference(stored, wanted)
    if difference:
        raise ConfigError(
            f"study {study_name!r} exists with another configuration: {'; '.join(difference)}",
            hint=f"choose another {flag_of('study_name')}, or repeat the configuration that it has",
        )


def refuse_other_code(study_name: str, stored: Mapping[str, Any], wanted: Mapping[str, Any], parts: NetParts) -> None:
    """Raise ConfigError where a net has the name that it had, but is another; it names the parts that differ."""
    before, now = stored.get("models", {}), wanted.get("models", {})
    for name in before.keys() & now.keys():
        if before[name]["code"] != now[name]["code"]:
            known, found = parts.of_study.get(name, {}), parts.here(name)
            differing = differing_parts(known, found) if known and found else []
            which = f"these differ: {_listed(differing)}" if differing else "its code or its layers differ"
            raise ConfigError(
                f"{name} here is not the net of study {study_name!r}: {which} (SHA-256 "
                f"{now[name]['code'][:12]}, the study's {before[name]['code'][:12]})",
                hint="processors may compute such values differently: save them to a file once and load them from it, "
                f"on every machine; or choose another {flag_of('study_name')}"
                if are_computed_values(differing)
                else "use the code and the versions of libraries that the study was created with, or choose another "
                f"{flag_of('study_name')}",
            )


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", item


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(f"{item:g}" if isinstance(item, float) else str(item) for item in value) or "none"
    text = "unset" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) < 40 else text[:12] + "..."
