"""Names of models, read without torch: so that a mistyped one is answered at once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from tasearch.domain.errors import ModelError, nearest

PAPER_RUNGS: dict[str, tuple[str, ...]] = {
    "resnet": tuple(f"resnet{depth}" for depth in (110, 56, 44, 32, 26, 20, 14, 8)),
    "plain": tuple(f"plain{depth}" for depth in (8, 6, 4)),
    "bottleneck": ("bottleneck20",),
}
"""The TAs of the paper by family, largest first (resnet110 and resnet8 are its teacher and student)."""
DEPTHS: dict[str, tuple[int, ...]] = {"plain": (2, 4, 6, 8, 10), "bottleneck": (14, 20, 26, 38, 50)}
"""Of the families that have a few depths only, smallest first."""
OTHERS = "torchvision:NAME, timm:NAME or package.module:function for other nets"

_OWN = re.compile(r"(resnet|plain|bottleneck)([1-9][0-9]{0,5})")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


class Kind(StrEnum):
    """Where a net comes from."""

    OWN = "own"
    """From tasearch."""
    TORCHVISION = "torchvision"
    TIMM = "timm"
    CALLABLE = "callable"
    """What a function of the user returns, found by its dotted path."""
    OBJECT = "object"
    """What a function returns that was registered in this process (`models.callables.register_model`)."""


def kind_of(name: str) -> Kind:
    """Return where a net comes from, by its name alone. Raises ModelError where no name is like this."""
    prefix, colon, rest = name.partition(":")
    if not colon:
        parse_own(name)
        return Kind.OWN
    if prefix in (Kind.TORCHVISION, Kind.TIMM, Kind.OBJECT):
        # A timm name may end in the tag of its weights: `resnet50.a1_in1k`.
        if not re.fullmatch(r"[\w.\-/]+", rest):
            raise ModelError(f"unknown model {name!r}: no name follows {prefix}:", hint=f"e.g. {prefix}:resnet50")
        return Kind(prefix)
    if not (_MODULE.fullmatch(prefix) and _MODULE.fullmatch(rest)):
        raise ModelError(
            f"unknown model {name!r}: neither {prefix!r} nor {rest!r} may be anything but Python names and dots",
            hint=OTHERS,
        )
    return Kind.CALLABLE


def check_names(names: Iterable[str]) -> None:
    """Raise ModelError for a name that can be no model's; whether the others exist is seen when they are built."""
    for name in names:
        kind_of(name)


def is_own(name: str) -> bool:
    """Whether it is a net of tasearch. Raises ModelError as `kind_of` does."""
    return kind_of(name) is Kind.OWN


def short(name: str) -> str:
    """Return the name without where it comes from: `resnet50` of `torchvision:resnet50`."""
    return name.rpartition(":")[2]


def known_models() -> list[str]:
    """Return the names to show in a hint; any other `resnet<6n+2>` exists as well."""
    few = [f"{family}{depth}" for family, depths in DEPTHS.items() for depth in depths]
    return few + list(reversed(PAPER_RUNGS["resnet"]))


def family_of(name: str) -> str:
    """Return `resnet`, `plain` or `bottleneck`, or the kind of another net. Raises ModelError for an unknown model."""
    kind = kind_of(name)
    return parse_own(name)[0] if kind is Kind.OWN else kind.value


def family_members(name_low: str, name_high: str) -> list[str]:
    """Return all models of one family strictly between two of its models by depth, smallest first.

    Raises ModelError for an unknown model and for models of different families.
    """
    family, low = parse_own(name_low)
    other_family, high = parse_own(name_high)
    if family != other_family:
        raise ModelError(
            f"{name_low} and {name_high} are of different families ({family}, {other_family}): "
            "no model lies between them",
            hint="choose two models of one family, or name the TAs with --tas",
        )
    low, high = min(low, high), max(low, high)
    if family == "resnet":
        return [f"resnet{depth}" for depth in range(low + 6, high, 6)]
    return [f"{family}{depth}" for depth in DEPTHS[family] if low < depth < high]


def parse_own(name: str) -> tuple[str, int]:
    """Return family and depth of a net of tasearch. Raises ModelError where there is none of this name."""
    match = _OWN.fullmatch(name)
    if match is None:
        raise ModelError(
            f"unknown model {name!r}",
            hint=f"{nearest(name, known_models())}, and every resnetN with N = 6n+2; {OTHERS}",
        )
    family, depth = match[1], int(match[2])
    if family == "resnet" and (depth < 8 or (depth - 2) % 6):
        raise ModelError(
            f"unknown model {name!r}: N must be 6n+2 with n >= 1, e.g. 8, 14, 20", hint=_closest_resnets(depth)
        )
    if family in DEPTHS and depth not in DEPTHS[family]:
        depths = ", ".join(str(known) for known in DEPTHS[family])
        kind = {"plain": "plain CNNs", "bottleneck": "bottleneck nets"}[family]
        raise ModelError(f"unknown model {name!r}: {kind} have {depths} layers", hint=nearest(name, known_models()))
    return family, depth


def _closest_resnets(depth: int) -> str:
    below = max(8, depth - (depth - 2) % 6)
    return f"the closest are resnet{below} and resnet{below + 6}"
