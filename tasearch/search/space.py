"""What can be searched: slots of ladder indices, made canonical, and a quantised pair."""

from __future__ import annotations

import random
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, islice, product
from math import comb
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from tasearch.domain.spec import ChainSpec

RECOMMENDED_TEMPERATURE = 4.0
RECOMMENDED_KD_WEIGHT = 0.9
Pair = tuple[float, float]
"""Temperature and KD weight of a stage."""
_MOST_LISTED = 2000
"""A space of at most this many chains is listed to draw an unseen one; a larger one is drawn from blindly."""
_BLIND_DRAWS = 1000


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
    """`last`: the searched pair trains the student, TAs have one of their own; `chain`: one pair throughout;
    `stage`: a pair for each stage; `scratch`: TAs learn from labels, so there is only the student's pair."""
    is_calibrated: bool = False
    """At scope `last`: the TAs' pair is found by the sampler and is a parameter, the same in all trials."""
    ta_pair: Pair = (RECOMMENDED_TEMPERATURE, RECOMMENDED_KD_WEIGHT)
    """What TAs are trained with at scope `last`: 4 and 0.9, unless another is given or it is calibrated."""

    def at(self, ta_pair: Pair) -> SearchSpace:
        """Return the space once the TAs' pair is known."""
        return replace(self, ta_pair=ta_pair)

    @property
    def most_tas(self) -> int:
        """The most TAs a chain can have: `max_tas`, or the whole ladder."""
        return min(self.max_tas, len(self.ladder))

    @property
    def has_one_pair(self) -> bool:
        """Whether a chain is searched with a single pair, written beside each of its stages."""
        return self.scope in ("chain", "scratch")

    @property
    def grid(self) -> list[Pair]:
        """Every pair of the grid."""
        return list(product(self.temperatures, self.kd_weights))

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The Optuna parameters, always all of them: a fixed space is what TPE models best."""
        found: dict[str, BaseDistribution] = {}
        if self.most_tas:
            found["num_tas"] = IntDistribution(0, self.most_tas)
            for slot in range(self.most_tas):
                found[f"ta{slot}"] = IntDistribution(0, len(self.ladder) - 1)
                if self.scope == "stage":
                    found[f"ta{slot}_temperature"] = CategoricalDistribution(self.temperatures)
                    found[f"ta{slot}_kd_weight"] = CategoricalDistribution(self.kd_weights)
            if self._has_ta_pair:
                found["ta_temperature"] = CategoricalDistribution(self.temperatures)
                found["ta_kd_weight"] = CategoricalDistribution(self.kd_weights)
        found["temperature"] = CategoricalDistribution(self.temperatures)
        found["kd_weight"] = CategoricalDistribution(self.kd_weights)
        return found

    @property
    def _has_ta_pair(self) -> bool:
        return self.scope == "last" and self.is_calibrated

    def chain(self, params: Mapping[str, Any]) -> ChainSpec:
        """Return the canonical chain of a set of parameters: unused slots ignored, sorted, without repeats.

        Of two slots that name the same TA the first one gives its pair.
        """
        last = float(params["temperature"]), float(params["kd_weight"])
        used: dict[int, Pair] = {}
        for slot in range(int(params.get("num_tas", 0))):
            used.setdefault(int(params[f"ta{slot}"]), self._slot_pair(params, slot, last))
        indices = sorted(used)
        return self.compose([self.ladder[index] for index in indices], [*(used[index] for index in indices), last])

    def _slot_pair(self, params: Mapping[str, Any], slot: int, last: Pair) -> Pair:
        if self.scope == "stage":
            return float(params[f"ta{slot}_temperature"]), float(params[f"ta{slot}_kd_weight"])
        if self._has_ta_pair:
            return float(params["ta_temperature"]), float(params["ta_kd_weight"])
        return last if self.has_one_pair else self.ta_pair

    def params(self, chain: ChainSpec, unused: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return parameters that give this chain; unused slots hold what they hold in `unused`, or the first choice."""
        found: dict[str, Any] = {}
        if self.most_tas:
            found["num_tas"] = len(chain.tas)
            for slot in range(self.most_tas):
                found |= self._slot(chain, slot, unused or {})
            if self._has_ta_pair:
                pair = (chain.temperatures[0], chain.kd_weights[0]) if chain.tas else self.default_pair
                found["ta_temperature"], found["ta_kd_weight"] = pair
        found["temperature"] = chain.temperature
        found["kd_weight"] = chain.kd_weight
        return found

    def _slot(self, chain: ChainSpec, slot: int, unused: Mapping[str, Any]) -> dict[str, Any]:
        used = slot < len(chain.tas)
        index, temperature, kd_weight = f"ta{slot}", f"ta{slot}_temperature", f"ta{slot}_kd_weight"
        found: dict[str, Any] = {index: self.ladder.index(chain.tas[slot]) if used else unused.get(index, 0)}
        if self.scope == "stage":
            found[temperature] = chain.temperatures[slot] if used else unused.get(temperature, self.temperatures[0])
            found[kd_weight] = chain.kd_weights[slot] if used else unused.get(kd_weight, self.kd_weights[0])
        return found

    def compose(self, tas: Sequence[str], pairs: Sequence[Pair]) -> ChainSpec:
        """Return the chain through `tas` (largest first) with these pairs, one for each stage."""
        return ChainSpec(
            path=(self.teacher, *tas, self.student),
            temperatures=tuple(temperature for temperature, _ in pairs),
            kd_weights=tuple(kd_weight for _, kd_weight in pairs),
            ta_from="scratch" if tas and self.scope == "scratch" else "distilled",
        )

    def build(self, tas: Sequence[str], temperature: float, kd_weight: float, ta_pair: Pair | None = None) -> ChainSpec:
        """Return the chain through `tas` (largest first) with the pairs that the scope prescribes.

        `ta_pair`: of the TAs where it is searched or calibrated; None: the grid's pair nearest to the recommended one.
        """
        last = temperature, kd_weight
        if self.has_one_pair:
            ta_pair = last
        elif self.scope == "last" and not self.is_calibrated:
            ta_pair = self.ta_pair
        return self.compose(tas, [*[ta_pair or self.default_pair] * len(tas), last])

    def rung(self, chain: ChainSpec, stages: int) -> ChainSpec:
        """Return the chain that ends in the model which a chain's first `stages` stages train."""
        return ChainSpec(
            path=chain.path[: stages + 1],
            temperatures=chain.temperatures[:stages],
            kd_weights=chain.kd_weights[:stages],
        )

    @cached_property
    def default_pair(self) -> Pair:
        """The grid's pair nearest to the recommended one."""
        return self.baseline_pairs(1)[0]

    def paths(self) -> list[tuple[str, ...]]:
        """Return the TA tuples of every path, shortest first; the first is the direct one."""
        return [tas for size in range(self.most_tas + 1) for tas in combinations(self.ladder, size)]

    @property
    def num_chains(self) -> int:
        """Number of distinct chains."""
        pairs = len(self.temperatures) * len(self.kd_weights)
        searched = (lambda tas: tas + 1) if self.scope == "stage" else (lambda _: 1)
        return sum(comb(len(self.ladder), tas) * pairs ** searched(tas) for tas in range(self.most_tas + 1))

    def all_chains(self) -> Iterator[ChainSpec]:
        """Yield every distinct chain, those with a common beginning together.

        Each one needs at most two stages that none before it had: its last TA and the student.
        """
        if self.has_one_pair:
            for pair in self.grid:
                yield from self._below((), (), [pair])
        else:
            yield from self._below((), (), self.grid)

    def _below(self, tas: tuple[str, ...], pairs: tuple[Pair, ...], grid: list[Pair]) -> Iterator[ChainSpec]:
        """Yield every chain that begins with these TAs."""
        for pair in grid:
            yield self.compose(tas, [*pairs, pair])
        if len(tas) == self.most_tas:
            return
        inner = [self.ta_pair] if self.scope == "last" else grid
        start = self.ladder.index(tas[-1]) + 1 if tas else 0
        for ta, pair in product(self.ladder[start:], inner):
            yield from self._below((*tas, ta), (*pairs, pair), grid)

    def draw(self, known: Container[ChainSpec], seed: int, *, with_tas: bool) -> ChainSpec | None:
        """Return a chain at random that is not known, None where there is none; `with_tas`: one with TAs if possible.

        The same arguments give the same chain.
        """
        generator = random.Random(seed)
        if self.num_chains > _MOST_LISTED:
            for _ in range(_BLIND_DRAWS):
                tas = generator.choice(self.paths())
                chain = self.compose(tas, self._random_pairs(len(tas), generator))
                if chain not in known and (tas or not with_tas):
                    return chain
        unseen = list(islice((chain for chain in self.all_chains() if chain not in known), _MOST_LISTED))
        if with_tas:
            unseen = [chain for chain in unseen if not chain.is_direct] or unseen
        return generator.choice(unseen) if unseen else None

    def _random_pairs(self, tas: int, generator: random.Random) -> list[Pair]:
        last = generator.choice(self.grid)
        if self.scope == "stage":
            return [*(generator.choice(self.grid) for _ in range(tas)), last]
        return [last if self.has_one_pair else self.ta_pair] * tas + [last]

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
