"""How accuracy answers to temperature and KD weight of the student's stage, for each number of TAs."""

from __future__ import annotations

from dataclasses import dataclass

from tasearch.report.view import StudyView


@dataclass(frozen=True, kw_only=True, slots=True)
class ResponseCell:
    """All complete chains with one number of TAs whose student had one pair."""

    num_tas: int
    temperature: float
    kd_weight: float
    chains: int
    best_val_accuracy: float
    mean_val_accuracy: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ResponseInfo:
    """The grid of pairs for each number of TAs; pairs that no chain had are absent."""

    temperatures: tuple[float, ...]
    kd_weights: tuple[float, ...]
    nums_tas: tuple[int, ...]
    cells: tuple[ResponseCell, ...]
    """By number of TAs, temperature and KD weight."""


def response_info(view: StudyView) -> ResponseInfo:
    """Return the best and the mean val accuracy of each cell; axes hold the pairs that occur."""
    found: dict[tuple[int, float, float], list[float]] = {}
    for summary in view.ranking:
        chain = summary.chain
        found.setdefault((len(chain.tas), chain.temperature, chain.kd_weight), []).append(summary.val_accuracy)
    cells = tuple(
        ResponseCell(
            num_tas=num_tas,
            temperature=temperature,
            kd_weight=kd_weight,
            chains=len(values),
            best_val_accuracy=max(values),
            mean_val_accuracy=sum(values) / len(values),
        )
        for (num_tas, temperature, kd_weight), values in sorted(found.items())
    )
    return ResponseInfo(
        temperatures=tuple(sorted({cell.temperature for cell in cells})),
        kd_weights=tuple(sorted({cell.kd_weight for cell in cells})),
        nums_tas=tuple(sorted({cell.num_tas for cell in cells})),
        cells=cells,
    )
