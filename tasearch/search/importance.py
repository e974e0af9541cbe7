"""What the good chains of a search have in common: PED-ANOVA over what a chain is made of."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.distributions import CategoricalDistribution

from tasearch.domain.result import TrialRow, TrialState
from tasearch.domain.spec import ChainSpec

LEAST_TRIALS = 8
"""With fewer chains, or fewer than two among the best, there is nothing to compare."""
BEST_SHARE = 0.25
"""Share of the chains that counts as good. Optuna's tenth would be one or two chains of a search of this size."""
NO_TA = "none"
_OF_TAS = ("last TA", "first TA", "TA temperature", "TA KD weight")


@dataclass(frozen=True, kw_only=True, slots=True)
class Importance:
    """How much one choice has to do with being among the best chains."""

    choice: str
    """`number of TAs`, `first TA`, `last TA`, `temperature`, `KD weight`, `TA temperature` or `TA KD weight`."""
    share: float
    """Of all choices together, in [0, 1]."""


def chain_importances(trials: Sequence[TrialRow]) -> tuple[Importance, ...]:
    """Return the importance of each choice that varies, greatest first; empty where too few chains are complete.

    Choices are those of the finished chain, not the sampler's slots, of which unused ones are noise: first TA: the one
    that the teacher teaches; last TA: the one that teaches the student; TA temperature and weight: how it was taught.
    """
    complete = {
        trial.chain: trial.val_accuracy
        for trial in trials
        if trial.state is TrialState.COMPLETE
        and trial.duplicate_of is None
        and trial.chain is not None
        and trial.val_accuracy is not None
    }
    if len(complete) < LEAST_TRIALS or len(set(complete.values())) < 2:
        return ()
    rows = [(_choices(chain), value) for chain, value in complete.items()]
    # Here, not above: it brings scikit-learn, which takes a second that no other command should wait for.
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    spaces = _spaces([row for row, _ in rows])
    if not spaces:
        return ()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.add_trials(
        optuna.trial.create_trial(params={name: row[name] for name in spaces}, distributions=dict(spaces), value=value)
        for row, value in rows
    )
    evaluator = PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE)
    with warnings.catch_warnings():
        # Where all are as good as the best quarter Optuna warns and gives equal shares.
        warnings.simplefilter("ignore", UserWarning)
        found = get_param_importances(study, evaluator=evaluator, normalize=True)
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Importance(choice=name, share=float(share)) for name, share in ordered)


def _spaces(rows: Sequence[Mapping[str, str]]) -> dict[str, CategoricalDistribution]:
    """Return the choices that vary, each once: two that always go together are one."""
    columns = {name: tuple(row[name] for row in rows) for name in rows[0]}
    spaces: dict[str, CategoricalDistribution] = {}
    for name, column in columns.items():
        values = dict.fromkeys(column)
        # One pair for all TAs says no more than whether there is a TA.
        varies = len(values) > 1 and (name not in _OF_TAS or len(set(values) - {NO_TA}) > 1)
        if varies and not any(_go_together(columns[other], column) for other in spaces):
            spaces[name] = CategoricalDistribution(list(values))
    return spaces


def _go_together(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether either of two choices tells the other, wherever there is a TA."""
    pairs = {(a, b) for a, b in zip(one, other, strict=True) if NO_TA not in (a, b)}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def _choices(chain: ChainSpec) -> Mapping[str, str]:
    tas = chain.tas
    return {
        "number of TAs": str(len(tas)),
        "last TA": tas[-1] if tas else NO_TA,
        "first TA": tas[0] if tas else NO_TA,
        "temperature": f"{chain.temperature:g}",
        "KD weight": f"{chain.kd_weight:g}",
        "TA temperature": f"{chain.temperatures[-2]:g}" if tas else NO_TA,
        "TA KD weight": f"{chain.kd_weights[-2]:g}" if tas else NO_TA,
    }
