"""What is written above and below each figure, for a reader who knows distillation and not tasearch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tasearch.report import wording
from tasearch.report.figure_data.capacity import MOST_POINTS, CapacityInfo
from tasearch.report.figure_data.cost import CostInfo
from tasearch.report.figure_data.landscape import DEFINITION, METHOD
from tasearch.report.figure_data.paths import PathsInfo
from tasearch.report.view import StudyView, heuristic_line
from tasearch.search.importance import BEST_SHARE


@dataclass(frozen=True, kw_only=True, slots=True)
class Caption:
    """The words of one figure."""

    title: str
    text: str


def captions(view: StudyView, capacity: CapacityInfo, paths: PathsInfo, cost: CostInfo) -> Mapping[str, Caption]:
    """Return title and caption of every figure that there may be, by its name."""
    student, measure = view.student.name, view.measure
    found = {
        "capacity": (
            f"{measure.capitalize()} of {student} against the size of its teacher assistant",
            _capacity(view, capacity),
        ),
        "paths": (f"All paths from {view.teacher.name} to {student}", _paths(paths, measure)),
        "finals": (
            "Finalists against direct distillation, on test",
            f"Each finalist's test {measure} minus that of direct distillation (BLKD), paired: on each fresh replicate "
            "(small dots) both were trained with the same random draws. The diamond is the mean, its bar the 95% "
            "interval that belongs to the rule of the finals; right of the line is better than BLKD. The interval "
            "covers the randomness of training for this teacher and this test set. Who leads was decided on "
            f"validation {measure} before the test set was opened.",
        ),
        "response": (
            "Temperature and KD weight",
            f"Best validation {measure} (%) among the chains whose last stage, the one that trains the student, had "
            "this temperature and KD weight; the number of chains stands in brackets where it is more than one. One "
            "grid for each number of TAs, all in the same colours. Gaps are pairs that were not tried. The loss is "
            "(1 - KD weight) x cross entropy + KD weight x temperature² x KL(teacher, student).",
        ),
        "importance": (
            "Which choices mattered",
            f"PED-ANOVA: how far the distribution of each choice among the best {BEST_SHARE:.0%} of the chains is "
            "from its distribution among all chains of the search, as a share of all choices. Last TA: the one that "
            "teaches the student; first TA: the one that the teacher teaches. It says what the good chains have in "
            "common, not how many points a choice is worth, and with few chains it is a hint at most.",
        ),
        "progress": (
            "History of the search",
            f"Validation {measure} of each trial (one chain each) in the order in which they began, on the search "
            "replicate; the lines are the best so far, chains with TAs apart from direct distillation (BLKD). Trials "
            "without a result are marked along the bottom edge.",
        ),
        "curves": (
            "Training curves of the best chains",
            f"Validation {measure} of the student after each epoch of its own stage, for the best direct distillation "
            "and the best chains with TAs. The axis begins where the curves have settled; the first epochs may lie "
            "below it. The last epoch counts.",
        ),
        "landscape": ("Loss around one student of each kind", _landscape(view)),
        "cost": ("Where the time went", _cost(cost)),
    }
    return {name: Caption(title=title, text=text) for name, (title, text) in found.items()}


def _capacity(view: StudyView, info: CapacityInfo) -> str:
    text = (
        f"Each point is one chain: the validation {view.measure} of its student, trained once on the search replicate, "
        "above the smallest TA of the chain, the one that teaches the student; around a size they stand side by side, "
        "by their number of TAs. Colour and shape say how many TAs the chain has; large outlined points are the best "
        "temperature and KD weight of each path. Lines: the student without distillation (NOKD), with direct "
        "distillation (BLKD) and the teacher."
    )
    if info.finals:
        text += (
            " White diamonds are the finalists, retrained on fresh replicates, with ordinary 95% intervals; bands are "
            "the same for BLKD and NOKD. The best of many chains is flattered by luck on "
            "the search replicate. Differences are judged in the finals, paired, not by whether these bars overlap."
        )
    if info.num_left_out:
        text += f" Drawn are the best {MOST_POINTS:,} chains; {info.num_left_out:,} more are in the ranking's CSV."
    heuristic = heuristic_line(view)
    return text if heuristic is None else f"{text} {heuristic}"


def _paths(info: PathsInfo, measure: str) -> str:
    text = (
        "Every stage that was trained, from the teacher on the left to the student on the right. A node is one model "
        f"at the end of one path, with the best validation {measure} it reached there over all temperatures and KD "
        "weights; its colour tells how that compares with the other nodes of the same column. The wider a branch, the "
        "more completed trials and runs of the finals passed through it: a TA is trained once and reused by all of "
        "them. Through dotted branches none of those passed: most were trained to choose the TAs' temperature and KD "
        "weight."
    )
    if any(len(node.path) == 1 and node.model != info.columns[0] for node in info.shown):
        text += " A TA that learned from labels has no teacher and begins a branch of its own."
    hidden = info.num_paths - sum(node.model == info.columns[-1] for node in info.shown) if info.columns else 0
    return f"{text} The {hidden} weakest of {info.num_paths} paths are left out." if hidden > 0 else text


def _landscape(view: StudyView) -> str:
    text = (
        "Cross-entropy on training images, on a plane through the weights of the students of one replicate. Across and "
        "up: two random directions, in units of the norms of the student's filters; the student is the cross in the "
        "middle. All planes have one scale of colours, which ends where the loss leaves what lies around the students."
    )
    return text if view.landscape is None else f"{text} {DEFINITION} {METHOD}"


def _cost(info: CostInfo) -> str:
    text = (
        "Training time of all stages by the model that they train, summed over workers. Reuse of stages: what would "
        "have been trained again if every chain, and every run of the finals, had trained its TAs for itself."
    )
    if info.table_seconds is None:
        return (
            f"{text} What storing the teachers' logits spares is not known yet: it takes two stages of one model under "
            "one teacher to tell."
        )
    return (
        f"{text} Stored logits: a teacher's outputs are computed once for all stages it teaches on a replicate, and "
        "counted here under the teacher. That time is an estimate: where the first and a later stage trained the same "
        f"model ({info.num_tables_measured} of {wording.plural(info.num_tables, 'teacher')} with several stages), it "
        "is the difference of their times; for the other teachers it is scaled by their MACs."
    )
