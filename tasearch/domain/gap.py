"""How the gap between teacher and student matters: what is varied, what came out, and how sure that is."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from tasearch.domain.result import Capacity, Interval
from tasearch.domain.spec import ChainSpec


class Vary(enum.StrEnum):
    """Which model takes every size of the ladder while the others stay."""

    TEACHER = "teacher"
    """A fixed student under growing teachers (Mirzadeh et al. 2020, Fig. 2)."""
    STUDENT = "student"
    """A fixed teacher over growing students (Fig. 3)."""
    TA = "ta"
    """Fixed teacher and student with one TA between them, distilled or from labels."""


class Series(enum.StrEnum):
    """How the student of an arm was trained."""

    NOKD = "NOKD"
    BLKD = "BLKD"
    DISTILLED_TA = "distilled TA"
    SCRATCH_TA = "TA from labels"


@dataclass(frozen=True, kw_only=True, slots=True)
class GapPoint:
    """One arm: a student trained in one way on every replicate."""

    arm: str
    series: Series
    model: str
    """The one whose size varies; for an arm beside the varied ones, the student."""
    student: str
    chain: ChainSpec | None
    """None for NOKD."""
    val_accuracies: tuple[float, ...]
    """By replicate."""
    test_accuracies: tuple[float, ...]
    test: Interval
    """Mean test accuracy with its own 95% interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GapComparison:
    """Test accuracy of one arm minus another's, paired by replicate."""

    arm: str
    against: str
    difference: Interval
    """All intervals of a view together cover with 95% (Bonferroni)."""

    @property
    def is_separated(self) -> bool:
        """Whether the interval leaves zero out; never where n < 2."""
        low, high = self.difference.low, self.difference.high
        return low is not None and high is not None and (low > 0 or high < 0)


@dataclass(frozen=True, kw_only=True)
class GapView:
    """A finished measurement, as its report shows it; accuracies are fractions."""

    study_name: str
    vary: Vary
    teacher: str
    """The largest one."""
    student: str
    """The smallest one."""
    dataset: str
    epochs: int
    capacities: Mapping[str, Capacity]
    from_labels: Mapping[str, float]
    """val accuracy from labels on the search replicate, of the models that the store has it of."""
    points: tuple[GapPoint, ...]
    taught_by: Mapping[str, float]
    """By arm: val accuracy of the model that taught its students, mean over the replicates; none for NOKD."""
    comparisons: tuple[GapComparison, ...]
    replicates: tuple[int, ...]
    environment: str
    model_notes: tuple[str, ...]
    """What a reader must know of single models."""
    command: str
    versions: Mapping[str, str]
    test_opened: tuple[str, ...]
    """ISO times at which the test set was evaluated."""
