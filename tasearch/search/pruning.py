"""When a trial is not worth finishing: Optuna's pruners on the student's epochs, and TAs that are worse than it."""

from __future__ import annotations

import math

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner

Pruner = BasePruner
PRUNERS = ("none", "median", "halving", "hyperband")
STANDARD_ERRORS = 3.0
"""A TA has to be this far below the student without distillation before its chain is given up: less misleads, the
best chains of the paper go through TAs that are no better than others (Mirzadeh et al. 2020, Fig. 5)."""


def make_pruner(name: str, epochs: int) -> Pruner:
    """Return one of `PRUNERS` for students that are trained for `epochs` epochs.

    `median`: below the median of completed trials at the same epoch, after 5 trials and a third of the epochs.
    `halving`, `hyperband`: successive halving by 3 (Li et al. 2018), from a ninth of the epochs.
    """
    if name == "median":
        return MedianPruner(n_startup_trials=5, n_warmup_steps=epochs // 3)
    least = max(1, epochs // 9)
    if name == "halving":
        return SuccessiveHalvingPruner(min_resource=least, reduction_factor=3)
    if name == "hyperband":
        return HyperbandPruner(min_resource=least, max_resource=epochs, reduction_factor=3)
    return NopPruner()


def is_hopeless(ta_accuracy: float, nokd_accuracy: float, num_independent: int) -> bool:
    """Whether a TA's val accuracy is more than three standard errors below that of the student without distillation.

    `num_independent`: independent val images; the standard error is that of the difference of two proportions.
    """
    variance = sum(p * (1.0 - p) for p in (ta_accuracy, nokd_accuracy)) / num_independent
    return nokd_accuracy - ta_accuracy > STANDARD_ERRORS * math.sqrt(variance)
