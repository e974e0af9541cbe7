"""The command that trains one chain again, as far as `tasearch optimize` can be told to."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from tasearch.config.resolve import flag_of
from tasearch.domain.result import ArmScore
from tasearch.domain.spec import ChainSpec, spelled

_REPLACED = frozenset(
    flag_of(name)
    for name in (
        *("tas", "max_tas", "temperatures", "kd_weights", "scope", "ta_temperature", "ta_kd_weight"),
        *("sampler", "seed", "pruner", "trials", "timeout", "finalists", "replicates", "max_replicates"),
        *("study_name", "workers", "gpus", "workers_per_gpu", "pack", "launcher", "gpus_per_worker"),
    )
)
"""Flags that say what is searched and how far, by whom and under which name: the chain's own take their place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reproduction:
    """How a chain can be trained again."""

    command: str
    is_alone: bool
    """Whether little more than this chain is trained; otherwise it is one trial of the whole study."""


def reproduction(
    command: str, chain: ChainSpec, test: ArmScore | None = None, *, threads: int | None = None
) -> Reproduction:
    """Return a command that trains a chain anew, in a study of its own; `command`: that of its study.

    The chain is the last of the new study's trials: the first one is direct distillation, those between are the
    chain's own beginnings, each ended by the student. With `test`, its score in the finals, the finals get as many
    replicates as it had, otherwise one. A chain whose TAs were taught with different pairs is not within reach of any
    restriction: then the study's own command is returned. `threads`: CPU threads of each worker of the study, where one
    worker would by itself take others.
    """
    words = _words(chain)
    if words is None:
        return Reproduction(command=command, is_alone=False)
    replicates = 1 if test is None else test.n
    if chain.tas:
        # All beginnings take part where the chain's own test accuracies are wanted.
        words += ["--finalists", str(1 if test is None else len(chain.tas))]
    words += ["--replicates", str(replicates), "--max-replicates", str(replicates)]
    kept = _kept(command)
    if threads is not None and "--threads" not in kept:
        words += ["--threads", str(threads)]
    return Reproduction(command=shlex.join([*kept, *words]), is_alone=True)


def _words(chain: ChainSpec) -> list[str] | None:
    """Return the flags under which a search tries this chain and its beginnings, None where there are none."""
    pair = ["--temperatures", spelled(chain.temperature), "--kd-weights", spelled(chain.kd_weight)]
    if chain.is_direct:
        return ["--max-tas", "0", *pair, "--trials", "1"]
    ta_pairs = set(zip(chain.temperatures[:-1], chain.kd_weights[:-1], strict=True))
    if len(ta_pairs) > 1:
        return None
    temperature, kd_weight = ta_pairs.pop()
    number = len(chain.tas)
    if chain.ta_from == "scratch":
        # Direct distillation, then the student of this TA, which nobody teaches.
        return ["--tas", chain.tas[0], "--max-tas", "1", *pair, "--sampler", "exhaustive", "--trials", "2"]
    return [
        *("--tas", ",".join(chain.tas), "--max-tas", str(number), *pair),
        *("--ta-temperature", spelled(temperature), "--ta-kd-weight", spelled(kd_weight)),
        # Enumerates the first TA, the first two, ..., all of them.
        *("--scope", "last", "--sampler", "exhaustive", "--trials", str(number + 1)),
    ]


def _kept(command: str) -> list[str]:
    """Return the words of a study's command that say what a stage is and where it runs; every flag has a value."""
    program, verb, *rest = shlex.split(command)
    pairs = zip(rest[::2], rest[1::2], strict=False)
    return [program, verb, *(word for flag, value in pairs if flag not in _REPLACED for word in (flag, value))]
