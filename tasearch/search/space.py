"""What can be searched: slots of ladder indices, made canonical, and a quantised pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from tasearch.domain.spec import ChainSpec

SCOPES = ("last", "chain")
RECOMMENDED_TEMPERATURE = 4.0
RECOMMENDED_KD_WEIGHT = 0.9


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """Every chain that a study may try."""

    teacher: str
    student: str
    ladder: tuple[str, ...]
    """Candidate TAs, largest capacity first."""
    max_tas: int
    temperatures: tuple[float, ...]
    kd_weights: tuple[float, ...]
    scope: str
    """`last`: the searched pair trains the student, TAs use the recommended one; `chain`: one pair throughout."""

    @property
    def most_tas(self) -> int:
        """The most TAs a chain can have: `max_tas`, or the whole ladder."""
        return min(self.max_tas, len(self.ladder))

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The Optuna parameters, always all of them: a fixed space is what TPE models best."""
        found: dict[str, BaseDistribution] = {}
        if self.most_tas:
            found["num_tas"] = IntDistribution(0, self.most_tas)
            for slot in range(self.most_tas):
                found[f"ta{slot}"] = IntDistribution(0, len(self.ladder) - 1)
        found["temperature"] = CategoricalDistribution(self.temperatures)
        found["kd_weight"] = CategoricalDistribution(self.kd_weights)
        return found

    def chain(self, params: Mapping[str, Any]) -> ChainSpec:
        """Return the canonical chain of a set of parameters: unused slots ignored, sorted, without repeats."""
        used = {int(params[f"ta{slot}"]) for slot in range(int(params.get("num_tas", 0)))}
        tas = [self.ladder[index] for index in sorted(used)]
        return self.build(tas, float(params["temperature"]), float(params["kd_weight"]))

    def params(self, chain: ChainSpec) -> dict[str, Any]:
        """Return parameters that give this chain; unused slots hold 0."""
        found: dict[str, Any] = {}
        if self.most_tas:
            indices = [self.ladder.index(ta) for ta in chain.tas]
            found["num_tas"] = len(indices)
            for slot in range(self.most_tas):
                found[f"ta{slot}"] = indices[slot] if slot < len(indices) else 0
        found["temperature"] = chain.temperature
        found["kd_weight"] = chain.kd_weight
        return found

    def build(self, tas: list[str], temperature: float, kd_weight: float) -> ChainSpec:
        """Return the chain through `tas` (largest first) with the pairs that the scope prescribes."""
        inner = (temperature, kd_weight) if self.scope == "chain" else self.recommended_pair
        return ChainSpec(
            path=(self.teacher, *tas, self.student),
            temperatures=(inner[0],) * len(tas) + (temperature,),
            kd_weights=(inner[1],) * len(tas) + (kd_weight,),
        )

    @property
    def recommended_pair(self) -> tuple[float, float]:
        """The pair that TAs are trained with: 4 and 0.9."""
        return RECOMMENDED_TEMPERATURE, RECOMMENDED_KD_WEIGHT

    def paths(self) -> list[tuple[str, ...]]:
        """Return the TA tuples of every path, shortest first; the first is the direct one."""
        return [tas for size in range(self.most_tas + 1) for tas in combinations(self.ladder, size)]

    def all_chains(self) -> list[ChainSpec]:
        """Return every distinct chain."""
        pairs = list(product(self.temperatures, self.kd_weights))
        return [self.build(list(tas), t, w) for tas in self.paths() for t, w in pairs]

    def baseline_pairs(self, count: int) -> list[tuple[float, float]]:
        """Return up to `count` pairs for direct distillation, the recommended one first, then spread over the grid.

        Spread: each next pair is the one farthest (in grid steps, each axis scaled to 1) from all before, so that a
        few pairs bracket the grid.
        """
        grid = list(product(range(len(self.temperatures)), range(len(self.kd_weights))))

        def scaled(cell: tuple[int, int]) -> tuple[float, float]:
            return (
                cell[0] / max(1, len(self.temperatures) - 1),
                cell[1] / max(1, len(self.kd_weights) - 1),
            )

        def distance(a: tuple[int, int], b: tuple[int, int]) -> float:
            (ax, ay), (bx, by) = scaled(a), scaled(b)
            return (ax - bx) ** 2 + (ay - by) ** 2

        def from_recommended(cell: tuple[int, int]) -> tuple[float, float]:
            temperature, kd_weight = self.temperatures[cell[0]], self.kd_weights[cell[1]]
            return abs(temperature - RECOMMENDED_TEMPERATURE), abs(kd_weight - RECOMMENDED_KD_WEIGHT)

        chosen = [min(grid, key=from_recommended)]
        while len(chosen) < min(count, len(grid)):
            rest = [cell for cell in grid if cell not in chosen]
            chosen.append(max(rest, key=lambda cell: min(distance(cell, other) for other in chosen)))
        return [(self.temperatures[i], self.kd_weights[j]) for i, j in chosen[:count]]
