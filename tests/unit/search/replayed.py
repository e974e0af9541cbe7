"""Searches in memory, on an accuracy that is made up."""

from __future__ import annotations

from dataclasses import replace

import optuna
from optuna.storages import BaseStorage

from tasearch.domain.spec import ChainSpec
from tasearch.search.sampler import ChainSampler, calibrates_tas
from tasearch.search.space import SearchSpace
from tasearch.search.strategy import TA_ACCURACIES
from tasearch.search.study import ChainStudy, Proposal

BUDGET = 60


def open_study(
    space: SearchSpace,
    strategy: str,
    *,
    storage: BaseStorage | None = None,
    seed: int = 0,
    quota: int = 2,
    trials: int = BUDGET,
) -> ChainStudy:
    """Return the study named `study` of a storage, by default of one of its own."""
    space = replace(space, is_calibrated=calibrates_tas(strategy, space.scope))
    sampler = ChainSampler(space, strategy=strategy, seed=seed, trials=trials, quota=quota)
    return ChainStudy(storage or optuna.storages.InMemoryStorage(), "study", space, sampler)


def accuracy(chain: ChainSpec) -> float:
    """Return a smooth accuracy without ties, best in the middle of the ladder and of the grid."""
    size = sum(int(name.removeprefix("plain")) for name in chain.path)
    pairs = sum(0.01 * temperature - 0.07 * kd_weight**2 for temperature, kd_weight in _pairs(chain))
    return 0.5 + 0.001 * (size % 7) + 0.002 * len(chain.path) + 0.01 * pairs / len(chain.temperatures)


def _pairs(chain: ChainSpec) -> list[tuple[float, float]]:
    return list(zip(chain.temperatures, chain.kd_weights, strict=True))


def train_wanted(study: ChainStudy) -> list[ChainSpec]:
    """Answer what the study wants until it wants nothing; return what that was."""
    trained = []
    while wanted := study.wanted_stages():
        for chain in wanted:
            study.record_stage(chain, accuracy(chain))
        trained += wanted
    return trained


def tell(study: ChainStudy, proposal: Proposal) -> None:
    """Complete a trial."""
    chain = proposal.chain
    rungs = [study.space.rung(chain, stages) for stages in range(1, len(chain.path) - 1)]
    found = {rung.path[-1]: accuracy(rung) for rung in rungs}
    study.tell_complete(proposal.number, accuracy(chain), {TA_ACCURACIES: found})


def run(study: ChainStudy, trials: int) -> list[ChainSpec]:
    """Run that many trials, fewer where the search ends; return their chains."""
    done: list[ChainSpec] = []
    while len(done) < trials:
        train_wanted(study)
        proposal = study.ask("worker")
        if proposal is None:
            break
        tell(study, proposal)
        done.append(proposal.chain)
    return done
