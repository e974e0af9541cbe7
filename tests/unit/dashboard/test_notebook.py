"""Notes and figures in a database, as optuna-dashboard's own functions read them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna_dashboard import get_note, save_note
from optuna_dashboard._custom_plot_data import get_plotly_graph_objects

from tasearch.dashboard import notebook
from tasearch.dashboard.notebook import Written, write_notes
from tasearch.search.storage import close_storage
from tests.unit.dashboard.factories import STAGES, STUDY, make_facts, make_storage, make_study

FIGURE = json.dumps({"data": [{"x": [1, 2], "y": [3, 4]}], "layout": {"title": {"text": "t"}}})


class Stock:
    """The study as Optuna and optuna-dashboard see it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.rows = make_study(url)

    def write(self, figures: dict[str, str] | None = None, **changes: object) -> Written:
        facts = make_facts(self.rows, **changes)
        return write_notes(self.url, facts, STAGES, {"capacity": FIGURE} if figures is None else figures)

    def read(self) -> tuple[str, dict[int, str], dict[str, Any], dict[str, Any]]:
        """Return the study's note, those of trials, the figures and all system attributes."""
        storage = make_storage(self.url)
        try:
            study = optuna.load_study(storage=storage, study_name=STUDY)
            notes = {
                trial.number: get_note(optuna.trial.Trial(study, trial._trial_id))
                for trial in study.get_trials(deepcopy=False)
            }
            attrs = storage.get_study_system_attrs(study._study_id)
            figures = {name: json.loads(text) for name, text in get_plotly_graph_objects(attrs).items()}
            return get_note(study), {number: note for number, note in notes.items() if note}, figures, attrs
        finally:
            close_storage(storage)

    def edit(self, body: str, number: int | None = None) -> None:
        """Write a note by hand."""
        storage = make_storage(self.url)
        study = optuna.load_study(storage=storage, study_name=STUDY)
        trials = study.get_trials(deepcopy=False)
        save_note(study if number is None else optuna.trial.Trial(study, trials[number]._trial_id), body)
        close_storage(storage)


@pytest.fixture
def stock(storage_url: str) -> Stock:
    return Stock(storage_url)


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Stock:
    return Stock(f"sqlite:///{tmp_path / 'studies.db'}")


def test_optuna_dashboard_reads_what_was_written(stock: Stock) -> None:
    stock.write()
    note, notes, figures, _ = stock.read()
    assert note.startswith("# study\n\n**plain10 > plain4 > plain2 beats")
    assert list(notes) == [0, 1, 2, 3]
    assert "Failed: loss is not finite \\| in \\*epoch\\* 3" in notes[1]
    assert list(figures) == ["tasearch-capacity"]
    assert figures["tasearch-capacity"]["data"] == [{"x": [1, 2], "y": [3, 4]}]


def test_written_again_nothing_changes(on_sqlite: Stock) -> None:
    assert on_sqlite.write().changed > 0
    before = on_sqlite.read()
    assert on_sqlite.write().changed == 0
    assert on_sqlite.read() == before


def test_several_workers_may_write_at_once(stock: Stock) -> None:
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda _: stock.write(), range(4)))
    at_once = stock.read()
    assert at_once[0].count("Written by tasearch") == 1
    assert stock.write().changed == 0
    assert stock.read() == at_once


def test_only_what_has_changed_is_written(on_sqlite: Stock) -> None:
    on_sqlite.write()
    # The note, which optuna-dashboard keeps in two parts, and its version.
    assert on_sqlite.write(headline="another verdict").changed == 3
    note, _, _, attrs = on_sqlite.read()
    assert "**another verdict**" in note
    assert attrs["dashboard:note_ver"] == 2


def test_a_longer_note_takes_the_place_of_a_shorter_one_and_the_other_way_round(on_sqlite: Stock) -> None:
    for headline in ("short", "long " * 2000, "short"):
        on_sqlite.write(headline=headline.strip())
        note = on_sqlite.read()[0]
        assert f"**{headline.strip()}**" in note
        assert note.count("Written by tasearch") == 1


@pytest.mark.parametrize("number", [None, 0])
def test_a_note_that_somebody_wrote_stays(on_sqlite: Stock, number: int | None) -> None:
    on_sqlite.edit("mine", number)
    assert on_sqlite.write().edited == 1
    note, notes, _, _ = on_sqlite.read()
    assert (note if number is None else notes[number]) == "mine"


@pytest.mark.parametrize("number", [None, 0])
def test_a_note_of_ours_that_somebody_edited_stays(on_sqlite: Stock, number: int | None) -> None:
    on_sqlite.write()
    note, notes, _, _ = on_sqlite.read()
    edited = "seen by me\n\n" + (note if number is None else notes[number])
    on_sqlite.edit(edited, number)
    assert on_sqlite.write(headline="another verdict").edited == 1
    note, notes, _, _ = on_sqlite.read()
    assert (note if number is None else notes[number]) == edited


def test_figures_are_replaced_and_not_piled_up(on_sqlite: Stock) -> None:
    long = json.dumps({"data": [{"x": list(range(3000))}], "layout": {}})
    on_sqlite.write({"capacity": long, "finals": FIGURE})
    on_sqlite.write({"capacity": FIGURE})
    _, _, figures, _ = on_sqlite.read()
    assert list(figures) == ["tasearch-capacity"]
    assert figures["tasearch-capacity"]["data"] == [{"x": [1, 2], "y": [3, 4]}]


def test_figures_of_others_stay(on_sqlite: Stock) -> None:
    storage = make_storage(on_sqlite.url)
    study_id = storage.get_study_id_from_name(STUDY)
    storage.set_study_system_attr(study_id, "dashboard:plot_data:mine:0", FIGURE)
    close_storage(storage)
    on_sqlite.write({})
    assert list(on_sqlite.read()[2]) == ["mine"]


def test_a_figure_that_is_too_large_is_left_out_and_named(on_sqlite: Stock) -> None:
    large = json.dumps({"data": [{"x": list(range(50_000))}]})
    assert on_sqlite.write({"capacity": FIGURE, "tree": large}).left_out == ("tree",)
    note, _, figures, _ = on_sqlite.read()
    assert "too large for a database: tree" in note
    assert list(figures) == ["tasearch-capacity"]


def test_of_too_many_trials_only_the_best_have_notes(on_sqlite: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    on_sqlite.write()
    monkeypatch.setattr(notebook, "MOST_PAIRS", len(on_sqlite.rows))
    written = on_sqlite.write()
    assert (written.notes, list(on_sqlite.read()[1])) == (1, [3])


def test_attributes_of_optuna_stay(on_sqlite: Stock) -> None:
    before = on_sqlite.read()[3]
    on_sqlite.write()
    after = on_sqlite.read()[3]
    assert {key: after[key] for key in before} == before
