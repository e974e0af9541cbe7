"""The TA that the paper's heuristic names: by accuracy from labels alone, half way between teacher and student."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Midpoint:
    """What the heuristic says (Mirzadeh et al. 2020, section 4.3)."""

    ta: str
    val_accuracy: float
    """Of the TA, from labels."""
    target: float
    """Mean val accuracy of teacher and student, from labels."""


def midpoint(teacher_accuracy: float, student_accuracy: float, candidates: Mapping[str, float]) -> Midpoint:
    """Return the candidate whose accuracy is nearest the mean; ties go to the first. Raises ValueError for none."""
    if not candidates:
        raise ValueError("no candidate TA")
    target = (teacher_accuracy + student_accuracy) / 2
    ta = min(candidates, key=lambda name: abs(candidates[name] - target))
    return Midpoint(ta=ta, val_accuracy=candidates[ta], target=target)
