"""Writing notes and figures into a study's own database, where every optuna-dashboard finds them.

optuna-dashboard's functions write attribute by attribute and read all of them before each: here they write into a
dictionary, and what has changed goes to the database in one transaction. Written twice, nothing changes.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna_dashboard import get_note, save_note, save_plotly_graph_object

from tasearch.dashboard.figure_json import fitting
from tasearch.dashboard.notes import StageFacts, StudyFacts, noted_trials, study_note, trial_note
from tasearch.search.browsing import StudyNotebook, place_excerpt
from tasearch.search.storage import close_storage, open_storage
from tasearch.stores.engine import engine_kwargs, tune, url_text

FIGURE_PREFIX = "tasearch-"
MOST_PAIRS = 1_000_000
"""Of a trial and a note: optuna-dashboard goes through all notes of a study for each of its trials."""
_TRIAL_KEY = re.compile(r"dashboard:(\d+):note_")
_STUDY_KEYS = ("dashboard:note_ver", "dashboard:note_str:")
_FIGURE_KEYS = f"dashboard:plot_data:{FIGURE_PREFIX}"
_SIGNATURE = re.compile(r"\n\n\*Written by tasearch \(([0-9a-f]{8})\); a note that is edited is left as it is\.\*$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What has come of it."""

    notes: int
    """Trials that have a note of ours."""
    changed: int
    """Attributes that had to be written."""
    edited: int
    """Notes that somebody has edited, which are left as they are."""
    left_out: tuple[str, ...]
    """Figures that were too large."""


def write_notes(url: str, facts: StudyFacts, stages: Mapping[str, StageFacts], figures: Mapping[str, str]) -> Written:
    """Write a study's note, its trials' notes and its figures (Plotly JSON by name).

    Notes that people wrote or edited stay as they are. Raises StorageError, KeyError where Optuna has no such study.
    """
    storage = open_storage(url_text(url), engine_kwargs(url), tune, excerpt=place_excerpt())
    try:
        notebook = StudyNotebook(storage, facts.study_name)
        page = _Page(notebook.attrs())
        most = max(1, MOST_PAIRS // max(1, len(facts.trials)))
        noted = {row.number: row for row in noted_trials(facts.trials, most)}
        places = notebook.places()
        for place in places:
            if place.number in noted:
                page.write(place.trial_id, trial_note(noted[place.number], place, stages))
            else:
                page.erase(place.trial_id)
        kept, left_out = fitting(figures)
        page.write(None, study_note(facts, num_noted=len(noted), left_out=left_out))
        page.draw(kept)
        changes = page.changes()
        if changes:
            notebook.update(changes)
        return Written(notes=len(noted), changed=len(changes), edited=page.edited, left_out=tuple(left_out))
    finally:
        close_storage(storage)


class _Attrs:
    """System attributes in memory: stands for the storage, the study or the trial that optuna-dashboard writes to."""

    _study_id = 0

    def __init__(self, attrs: dict[str, Any], trial_id: int | None = None) -> None:
        """`trial_id` None: they are about the study."""
        self.attrs, self._trial_id = attrs, trial_id
        self.storage = self.study = self._storage = self

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return all of them; there is one study."""
        del study_id
        return self.attrs

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set one."""
        del study_id
        self.attrs[key] = value


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A figure that is JSON already."""

    text: str

    def to_json(self) -> str:
        """Return it."""
        return self.text


class _Page:
    """The notes and our figures of a study, as they are in the database and as they are to be."""

    def __init__(self, attrs: Mapping[str, Any]) -> None:
        """`attrs`: the study's system attributes."""
        self.edited = 0
        self._changes: dict[str, Any] = {}
        self._notes: dict[int | None, dict[str, Any]] = defaultdict(dict)
        self._figures: dict[str, dict[str, Any]] = defaultdict(dict)
        for key, value in attrs.items():
            of_trial = _TRIAL_KEY.match(key)
            if of_trial:
                self._notes[int(of_trial[1])][key] = value
            elif key.startswith(_STUDY_KEYS):
                self._notes[None][key] = value
            elif key.startswith(_FIGURE_KEYS):
                self._figures[key.removeprefix(_FIGURE_KEYS).rpartition(":")[0]][key] = value

    def write(self, trial_id: int | None, text: str) -> None:
        """Give the study (None) or a trial its note, unless somebody else has written there."""
        before = self._notes.get(trial_id, {})
        body = get_note(_Attrs(before, trial_id))
        signed = _signed(text)
        if body and not _is_ours(body):
            self.edited += 1
        elif body != signed:
            after = _Attrs(dict(before), trial_id)
            save_note(after, signed)
            self._note_changes(before, after.attrs)

    def erase(self, trial_id: int) -> None:
        """Take a trial's note away if it is ours."""
        before = self._notes.get(trial_id, {})
        if before and _is_ours(get_note(_Attrs(before, trial_id))):
            self._note_changes(before, {})

    def draw(self, figures: Mapping[str, str]) -> None:
        """Make these our figures, in the place of those that were there."""
        for name, text in figures.items():
            before = self._figures.get(name, {})
            after = _Attrs(dict(before))
            save_plotly_graph_object(after, _Drawn(text), graph_object_id=FIGURE_PREFIX + name)
            self._note_changes(before, after.attrs)
        for name in self._figures.keys() - figures.keys():
            self._note_changes(self._figures[name], {})

    def changes(self) -> dict[str, Any]:
        """Return what has to be written; None: removed."""
        return self._changes

    def _note_changes(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        self._changes |= {key: value for key, value in after.items() if before.get(key) != value}
        self._changes |= dict.fromkeys(before.keys() - after.keys())


def _signed(text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{text}\n\n*Written by tasearch ({digest}); a note that is edited is left as it is.*"


def _is_ours(body: str) -> bool:
    """Whether a note is as it was written here."""
    found = _SIGNATURE.search(body)
    return found is not None and _signed(body[: found.start()]) == body
