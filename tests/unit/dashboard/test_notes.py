from __future__ import annotations

from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from tasearch.dashboard.notes import noted_trials, study_note, trial_note
from tasearch.domain.result import TrialState
from tasearch.search.browsing import TrialPlace
from tests.unit.dashboard.factories import STAGES, make_facts, make_row

PLACE = TrialPlace(number=3, trial_id=7, fingerprints=("aaaa", "bbbb"), num_trained=1)
NOWHERE = replace(PLACE, fingerprints=(), num_trained=0)
HOSTILE = "<script>alert(1)</script> [a](http://b) | *c* ![d](e)"


def cells(markdown: str) -> list[list[str]]:
    """Return the rows of the first table below its header."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_a_trial_shows_what_each_of_its_stages_came_to() -> None:
    assert cells(trial_note(make_row(), PLACE, STAGES)) == [
        ["plain10 > plain4", "2", "0.5", "81.0%", "9.5", "reused"],
        ["plain4 > plain2", "4", "0.9", "70.8%", "4.2", "trained"],
    ]


def test_a_stage_that_is_not_in_the_store_has_the_accuracy_of_the_trial() -> None:
    assert [row[3:5] for row in cells(trial_note(make_row(), PLACE, {}))] == [["81.0%", "–"], ["70.8%", "–"]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state": TrialState.FAILED, "failure": "loss is not finite"}, "Failed: loss is not finite"),
        ({"state": TrialState.PRUNED, "stopped": "out of time"}, "Not finished: out of time"),
    ],
)
def test_a_trial_without_a_result_says_why(changes: dict[str, object], said: str) -> None:
    row = make_row(val_accuracy=None, ta_accuracies=(), **changes)
    note = trial_note(row, NOWHERE, {})
    assert said in note
    assert [row[3:] for row in cells(note)] == [["–", "–", "–"]] * 2


def test_a_trial_that_repeats_another_names_it() -> None:
    assert "Trial 1 had this chain before" in trial_note(make_row(duplicate_of=1), NOWHERE, {})


def test_a_trial_without_a_chain_has_a_note_all_the_same() -> None:
    row = make_row(chain=None, val_accuracy=None, state=TrialState.FAILED, failure="outside")
    assert "No chain of the search space." in trial_note(row, NOWHERE, {})


def test_a_study_shows_verdict_remarks_rungs_columns_and_command() -> None:
    note = study_note(make_facts(), num_noted=0)
    facts = make_facts()
    assert facts.headline.replace("[", "\\[").replace("]", "\\]") in note
    for said in (*facts.remarks, "0 = plain6, 1 = plain4", "`temperature`, `kd_weight`", facts.command):
        assert said in note


@pytest.mark.parametrize("field", ["study_name", "headline", "teacher", "student", "dataset", "command"])
def test_names_in_a_study_note_are_only_text(field: str) -> None:
    facts = replace(make_facts(), **{field: HOSTILE})  # type: ignore[arg-type]
    rendered = MarkdownIt("commonmark").enable("table").render(study_note(facts, num_noted=0, left_out=[HOSTILE]))
    assert not [tag for tag in ("<script", "<a ", "<img", "<em>c") if tag in rendered]


def test_messages_in_a_trial_note_are_only_text() -> None:
    note = trial_note(make_row(failure=HOSTILE, stopped=HOSTILE), PLACE, STAGES)
    rendered = MarkdownIt("commonmark").enable("table").render(note)
    assert not [tag for tag in ("<script", "<a ", "<img", "<em>c") if tag in rendered]


def test_figures_that_were_left_out_are_named() -> None:
    assert "too large for a database: capacity, progress" in study_note(
        make_facts(), num_noted=0, left_out=["capacity", "progress"]
    )


def test_how_many_trials_have_a_note_is_said_where_not_all_have() -> None:
    facts = make_facts((make_row(number=0), make_row(number=1)))
    assert "Of 2 trials that have ended the 1 best" in study_note(facts, num_noted=1)
    assert "the 2 best" not in study_note(facts, num_noted=2)


def test_running_and_waiting_trials_have_no_note() -> None:
    rows = [make_row(number=n, state=state) for n, state in enumerate(TrialState)]
    assert [row.state for row in noted_trials(rows, 10)] == [
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.FAILED,
    ]


def test_of_too_many_trials_the_best_have_a_note() -> None:
    rows = [make_row(number=n, val_accuracy=value) for n, value in enumerate((0.5, 0.7, None, 0.6))]
    assert [row.number for row in noted_trials(rows, 2)] == [1, 3]
