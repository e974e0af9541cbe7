"""A small study with trials of every ending, and what is known of it."""

from __future__ import annotations

from dataclasses import replace

from optuna.storages import RDBStorage

from tasearch.dashboard.notes import StageFacts, StudyFacts
from tasearch.domain.result import TrialRow, TrialState
from tasearch.domain.spec import ChainSpec
from tasearch.search.space import SearchSpace
from tasearch.search.storage import close_storage, open_storage
from tasearch.stores.engine import engine_kwargs, tune, url_text
from tasearch.stores.records import open_records
from tests.unit.search.replayed import open_study

STUDY = "study"
SPACE = SearchSpace(
    teacher="plain10",
    student="plain2",
    ladder=("plain6", "plain4"),
    max_tas=2,
    temperatures=(2.0, 4.0),
    kd_weights=(0.5, 0.9),
    scope="last",
)
STAGES = {
    "aaaa": StageFacts(val_accuracy=0.81, seconds=9.5),
    "bbbb": StageFacts(val_accuracy=0.708, seconds=4.25),
}


def make_storage(url: str) -> RDBStorage:
    """Open a database for writing, with tasearch's tables in it."""
    open_records(url).close()
    return open_storage(url_text(url), engine_kwargs(url), tune)


def make_study(url: str, trials: int = 4) -> tuple[TrialRow, ...]:
    """Make a study whose trials are complete, failed, pruned and complete in turn, and one that is running."""
    storage = make_storage(url)
    study = open_study(SPACE, "random", storage=storage)
    for number in range(trials):
        proposal = study.ask("worker")
        assert proposal is not None
        if number % 4 in (0, 3):
            stages = len(proposal.chain.path) - 1
            attrs = {"stage_fingerprints": ["aaaa", "bbbb", "cccc"][-stages:], "stages_trained": 1}
            study.report(proposal.number, 1, 0.5)
            study.tell_complete(proposal.number, 0.6 + number / 10_000, attrs)
        elif number % 4 == 1:
            study.tell_failed(proposal.number, "loss is not finite | in *epoch* 3")
        else:
            study.tell_pruned(proposal.number, "pruned after epoch 1")
    study.ask("worker")
    rows = tuple(study.rows())
    close_storage(storage)
    return rows


def make_row(**changes: object) -> TrialRow:
    """Return a complete trial of a chain with one TA."""
    chain = ChainSpec(path=("plain10", "plain4", "plain2"), temperatures=(2.0, 4.0), kd_weights=(0.5, 0.9))
    row = TrialRow(
        number=3, state=TrialState.COMPLETE, chain=chain, val_accuracy=0.708, ta_accuracies=(0.81,), seconds=15.0
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def make_facts(trials: tuple[TrialRow, ...] = (), **changes: object) -> StudyFacts:
    """Return a study that has its verdict."""
    facts = StudyFacts(
        study_name=STUDY,
        headline="plain10 > plain4 > plain2 beats direct distillation by +0.9 points, 95% CI [0.4, 1.4], n = 5",
        remarks=("Intervals are over training randomness.",),
        teacher="plain10",
        student="plain2",
        ladder=("plain6", "plain4"),
        dataset="cluttered-digits",
        command="tasearch optimize --teacher plain10 --student plain2",
        trials=trials,
    )
    return replace(facts, **changes)  # type: ignore[arg-type]
