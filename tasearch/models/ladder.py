"""The ladder: which models between student and teacher may become teacher assistants."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tasearch.domain.spec import ModelSpec
from tasearch.models.capacity import num_params
from tasearch.models.names import PAPER_RUNGS, family_members, family_of

MAX_RUNGS = 6
"""More rungs make chains that differ by less than the noise of a run."""


def default_ladder(teacher: ModelSpec, student: ModelSpec) -> list[str]:
    """Return the models of one family strictly between student and teacher by `num_params`, largest first.

    At most `MAX_RUNGS`, as `thin` chooses them with the paper's rungs preferred. Empty where nothing lies between, and
    where the two are not of one family of which there are more. Raises ModelError for an unknown model.
    """
    family = family_of(student.name)
    if family != family_of(teacher.name) or family not in PAPER_RUNGS:
        return []
    bounds = (num_params(student), num_params(teacher))
    sizes = {name: num_params(replace(student, name=name)) for name in family_members(student.name, teacher.name)}
    # By parameters, not by depth: on large images a deeper plain CNN can be the smaller one.
    between = {name: size for name, size in sizes.items() if bounds[0] < size < bounds[1]}
    return thin(between, bounds=bounds, preferred=PAPER_RUNGS[family])


def thin(
    candidates: Mapping[str, int],
    *,
    bounds: tuple[int, int],
    preferred: Sequence[str] = (),
    limit: int = MAX_RUNGS,
) -> list[str]:
    """Return at most `limit` of the candidates (name to num_params), largest first.

    Candidates in `preferred` come first; the rest of the limit, or a choice among too many preferred ones, is made
    so that the steps in log num_params from `bounds[0]` (student) to `bounds[1]` (teacher) are as even as they can
    be: the sum of their squares is least. All candidates must lie strictly between the bounds.
    """
    kept = {name: size for name, size in candidates.items() if name in preferred}
    if len(kept) >= limit:
        return _most_even(kept, bounds, limit, required=frozenset())
    return _most_even(candidates, bounds, min(limit, len(candidates)), required=frozenset(kept))


def _most_even(
    candidates: Mapping[str, int], bounds: tuple[int, int], count: int, *, required: frozenset[str]
) -> list[str]:
    """Return exactly `count` candidates, all of `required` among them, by dynamic programming over their order."""
    names = sorted(candidates, key=lambda name: (candidates[name], name))
    heights = [math.log(candidates[name]) for name in names]
    top = math.log(bounds[1])
    # best[k]: (cost, chosen positions) of the cheapest way to choose k rungs, the last of them at this position.
    table: list[dict[int, tuple[float, tuple[int, ...]]]] = []
    for position, height in enumerate(heights):
        best: dict[int, tuple[float, tuple[int, ...]]] = {}
        if not any(name in required for name in names[:position]):
            best[1] = ((height - math.log(bounds[0])) ** 2, (position,))
        for earlier in range(position):
            if any(name in required for name in names[earlier + 1 : position]):
                continue
            for chosen, (cost, path) in table[earlier].items():
                step = (cost + (height - heights[earlier]) ** 2, (*path, position))
                if chosen < count and (chosen + 1 not in best or step < best[chosen + 1]):
                    best[chosen + 1] = step
        table.append(best)
    ends = [
        (best[count][0] + (top - heights[position]) ** 2, best[count][1])
        for position, best in enumerate(table)
        if count in best and not any(name in required for name in names[position + 1 :])
    ]
    return [names[position] for position in reversed(min(ends)[1])] if ends else []
