"""Tables to replay a search on: what a stage's accuracy is, observed and on average, without training anything."""

from __future__ import annotations

import csv
import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasearch.domain.spec import ChainSpec
from tasearch.search.space import SearchSpace

RESULTS = Path(__file__).resolve().parents[2] / "studies" / "plain-digits" / "results.csv"
TEMPERATURES, KD_WEIGHTS = (2.0, 4.0, 8.0, 16.0), (0.5, 0.9, 1.0)
SCOPES = ("chain", "last")
PAPER_EPOCHS = 150


class Landscape(Protocol):
    """One draw of a table: what a search sees and what is true."""

    @property
    def epochs(self) -> int:
        """Of each stage."""

    def space(self, scope: str, *, is_calibrated: bool = False) -> SearchSpace:
        """Return the chains that can be replayed."""

    def observe(self, chain: ChainSpec) -> float:
        """Return the accuracy that the model at a chain's end shows; the same whenever it is asked."""

    def truth(self, chain: ChainSpec) -> float:
        """Return its mean accuracy."""

    @property
    def best(self) -> float:
        """The highest mean accuracy of any chain to the student whose TAs have one pair between them."""


FIG5_ACCURACIES = {
    "10 8": 56.75,
    "10 6": 57.13,
    "10 4": 50.94,
    "10 8 6": 57.53,
    "10 8 4": 52.59,
    "10 6 4": 52.84,
    "10 8 6 4": 52.87,
    "10 2": 42.56,
    "10 8 2": 44.28,
    "10 6 2": 44.57,
    "10 4 2": 44.92,
    "10 8 6 2": 44.46,
    "10 8 4 2": 44.47,
    "10 6 4 2": 45.06,
    "10 8 6 4 2": 45.14,
}
"""Mirzadeh et al. 2020, Fig. 5: plain CNNs on CIFAR-100, test accuracy in percent, one number a path."""


@dataclass(frozen=True)
class Fig5:
    """The paper's only full table of paths; one pair, no noise known."""

    epochs: int = PAPER_EPOCHS

    def space(self, scope: str, *, is_calibrated: bool = False) -> SearchSpace:
        return _plain_space(scope, (4.0,), (0.9,), is_calibrated)

    def observe(self, chain: ChainSpec) -> float:
        return FIG5_ACCURACIES[" ".join(name.removeprefix("plain") for name in chain.path)] / 100

    truth = observe

    @property
    def best(self) -> float:
        return max(value for path, value in FIG5_ACCURACIES.items() if path.endswith(" 2")) / 100


@dataclass(frozen=True)
class StageTable:
    """Rows of `studies/plain-digits/results.csv`: every stage on every replicate."""

    accuracies: Mapping[ChainSpec, tuple[float, ...]]
    """val accuracy of the model at a chain's end on each replicate."""
    teacher: float
    epochs: int

    @property
    def replicates(self) -> int:
        return min(len(values) for values in self.accuracies.values())


def read_table(path: Path = RESULTS) -> StageTable:
    """Return the table; stages that are not on every replicate are left out."""
    found: dict[ChainSpec, list[float]] = defaultdict(list)
    teacher, epochs = 0.0, 0
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            names = tuple(row["path"].split(" > "))
            if len(names) == 1:
                teacher = float(row["val_accuracy"]) if names == ("plain10",) else teacher
                continue
            temperatures, kd_weights = (tuple(map(float, row[name].split())) for name in ("temperatures", "kd_weights"))
            chain = ChainSpec(path=names, temperatures=temperatures, kd_weights=kd_weights)
            found[chain].append(float(row["val_accuracy"]))
            epochs = int(row["epochs"])
    whole = max(len(values) for values in found.values())
    complete = {chain: tuple(values) for chain, values in found.items() if len(values) == whole}
    return StageTable(complete, teacher, epochs)


@dataclass(frozen=True)
class PlainDigits:
    """The table as it was trained: a search sees one replicate, the truth is the mean of all.

    The mean of few replicates holds the luck of the one that is seen, for every strategy alike.
    """

    table: StageTable
    replicate: int

    @property
    def epochs(self) -> int:
        return self.table.epochs

    def space(self, scope: str, *, is_calibrated: bool = False) -> SearchSpace:
        return _plain_space(scope, TEMPERATURES, KD_WEIGHTS, is_calibrated)

    def observe(self, chain: ChainSpec) -> float:
        return self.table.accuracies[chain][self.replicate]

    def truth(self, chain: ChainSpec) -> float:
        return fmean(self.table.accuracies[chain])

    @property
    def best(self) -> float:
        return max(fmean(values) for chain, values in self.table.accuracies.items() if chain.path[-1] == "plain2")


def _plain_space(
    scope: str, temperatures: tuple[float, ...], kd_weights: tuple[float, ...], is_calibrated: bool
) -> SearchSpace:
    return SearchSpace(
        teacher="plain10",
        student="plain2",
        ladder=("plain8", "plain6", "plain4"),
        max_tas=3,
        temperatures=temperatures,
        kd_weights=kd_weights,
        scope=scope,
        is_calibrated=is_calibrated,
    )


PLACES = {
    name: math.log(2_487_850 / size) / math.log(2_487_850 / 13_082)
    for name, size in (
        ("plain10", 2_487_850),
        ("plain8", 327_962),
        ("plain6", 82_778),
        ("plain4", 37_338),
        ("plain2", 13_082),
    )
}
"""Where a model stands between teacher (0) and student (1), by the logarithm of its published parameter count."""
RUNGS = tuple(f"rung{number}" for number in range(1, 7))
SYNTHETIC_PLACES = {"plain10": 0.0, **{name: number / 7 for number, name in enumerate(RUNGS, 1)}, "plain2": 1.0}


@dataclass(frozen=True)
class StageModel:
    """Accuracy of a stage, linear in what is known of it, with what that leaves.

    The terms: where the student stands, its teacher's accuracy, the gap between them, temperature and KD weight, and
    how these two work across the gap and for the target student.
    """

    weights: NDArray[np.float64]
    teacher: float
    effect_sd: float
    """Standard deviation of what is true of a single stage beyond the terms."""
    noise_sd: float
    """Standard deviation of a stage between replicates."""
    epochs: int

    def mean(self, place: float, gap: float, teacher: float, pair: tuple[float, float]) -> float:
        """Return the accuracy of a student at `place`, taught across `gap` by a teacher of that accuracy."""
        return float(_terms(place, gap, teacher, pair) @ self.weights)


def _terms(place: float, gap: float, teacher: float, pair: tuple[float, float]) -> NDArray[np.float64]:
    heat, weight, last = math.log2(pair[0]) - 2, pair[1] - 0.9, float(place == 1.0)
    taught = [heat, heat**2, weight, weight**2, heat * weight]
    across = [gap * heat, gap * weight, last * heat, last * weight]
    return np.array([1.0, place, place**2, last, teacher, gap, gap**2, *taught, *across])


def fit_stages(table: StageTable) -> StageModel:
    """Fit the model to a table by least squares, the noise by how replicates differ."""
    rows, values = [], []
    for chain, accuracies in table.accuracies.items():
        above = (
            ChainSpec(path=chain.path[:-1], temperatures=chain.temperatures[:-1], kd_weights=chain.kd_weights[:-1])
            if len(chain.path) > 2
            else None
        )
        for replicate, accuracy in enumerate(accuracies):
            teacher = table.accuracies[above][replicate] if above else table.teacher
            place = PLACES[chain.path[-1]]
            pair = chain.temperatures[-1], chain.kd_weights[-1]
            rows.append(_terms(place, place - PLACES[chain.path[-2]], teacher, pair))
            values.append(accuracy)
    design, target = np.array(rows), np.array(values)
    weights, *_ = np.linalg.lstsq(design, target, rcond=None)
    left = (target - design @ weights).reshape(-1, table.replicates)
    noise = float(np.sqrt(np.mean(np.var(left, axis=1, ddof=1))))
    effect = float(np.sqrt(max(0.0, np.var(left.mean(axis=1), ddof=1) - noise**2 / table.replicates)))
    return StageModel(weights, table.teacher, effect, noise, table.epochs)


@dataclass(frozen=True)
class Synthetic:
    """SYNTHETIC: six TA rungs, accuracies drawn from the model fitted to the plain-digits table.

    Every seed is a landscape of its own: each stage has an effect that is true of it (beyond the fitted terms) and
    noise that is not. Noise belongs to the stage: a lucky TA stays lucky for every chain on it.
    """

    model: StageModel
    seed: int
    _means: dict[ChainSpec, float] = field(default_factory=dict, compare=False)
    _seen: dict[ChainSpec, float] = field(default_factory=dict, compare=False)

    @property
    def epochs(self) -> int:
        return self.model.epochs

    def space(self, scope: str, *, is_calibrated: bool = False) -> SearchSpace:
        return SearchSpace(
            teacher="plain10",
            student="plain2",
            ladder=RUNGS,
            max_tas=3,
            temperatures=TEMPERATURES,
            kd_weights=KD_WEIGHTS,
            scope=scope,
            is_calibrated=is_calibrated,
        )

    def observe(self, chain: ChainSpec) -> float:
        if chain not in self._seen:
            noise = self.model.noise_sd * self._draw(chain, "noise")
            self._seen[chain] = self._through(chain, self.observe) + noise
        return self._seen[chain]

    def truth(self, chain: ChainSpec) -> float:
        if chain not in self._means:
            self._means[chain] = self._through(chain, self.truth)
        return self._means[chain]

    @cached_property
    def best(self) -> float:
        space = self.space("last")
        chains = (chain for pair in space.grid for chain in space.at(pair).all_chains())
        return max(self.truth(chain) for chain in chains)

    def _through(self, chain: ChainSpec, accuracy_of: object) -> float:
        assert callable(accuracy_of)
        stages = len(chain.path) - 1
        teacher = accuracy_of(self.space("last").rung(chain, stages - 1)) if stages > 1 else self.model.teacher
        place = SYNTHETIC_PLACES[chain.path[-1]]
        pair = chain.temperatures[-1], chain.kd_weights[-1]
        mean = self.model.mean(place, place - SYNTHETIC_PLACES[chain.path[-2]], float(teacher), pair)
        return mean + self.model.effect_sd * self._draw(chain, "effect")

    def _draw(self, chain: ChainSpec, purpose: str) -> float:
        """Return a standard normal number that belongs to a stage of this landscape."""
        digest = hashlib.sha256(f"{self.seed}/{purpose}/{chain.label}".encode()).digest()
        return float(np.random.default_rng(int.from_bytes(digest[:8], "big")).standard_normal())
