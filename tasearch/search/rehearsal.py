"""What a search would do: the real sampler on made-up accuracies, to count the stages of a budget."""

from __future__ import annotations

import random
from dataclasses import dataclass

import optuna
from optuna.storages import InMemoryStorage

from tasearch.domain.spec import ChainSpec
from tasearch.search.sampler import ChainSampler
from tasearch.search.space import SearchSpace
from tasearch.search.strategy import TA_ACCURACIES
from tasearch.search.study import ChainStudy


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """The chains of a search that was not carried out."""

    trials: tuple[ChainSpec, ...]
    rungs: tuple[ChainSpec, ...]
    """Chains that end in a TA which the sampler wants trained beside its trials."""


def rehearse(space: SearchSpace, sampler: ChainSampler, trials: int) -> Rehearsal:
    """Return what a study of `trials` trials would try if accuracies were random: a sample, not a promise."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = ChainStudy(InMemoryStorage(), "rehearsal", space, sampler)
    draw = random.Random(0)
    tried: list[ChainSpec] = []
    rungs: list[ChainSpec] = []
    while study.num_counted() < trials:
        wanted = study.wanted_stages()
        if wanted:
            study.record_stage(wanted[0], draw.random())
            rungs.append(wanted[0])
            continue
        proposal = study.ask("rehearsal")
        if proposal is None:
            break
        tas = {ta: draw.random() for ta in proposal.chain.tas}
        study.tell_complete(proposal.number, draw.random(), {TA_ACCURACIES: tas})
        tried.append(proposal.chain)
    return Rehearsal(trials=tuple(tried), rungs=tuple(rungs))
