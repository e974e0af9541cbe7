"""A report in the formats that were asked for, in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasearch.report.export import report_json, report_tables
from tasearch.report.markdown import report_markdown
from tasearch.report.page import write_page
from tasearch.report.view import StudyView
from tasearch.report.writing import write_text
from tasearch.search.trial_storage import uncollected


def write_report(view: StudyView, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write a study's report and return the files, in the order of the formats: `html`, `md`, `json` or `csv`.

    A CSV report is a file for each table. Raises StorageError where the folder cannot be used.
    """
    with uncollected():
        return [path for name in formats for path in _write(view, folder, name)]


def _write(view: StudyView, folder: Path, name: str) -> list[Path]:
    if name == "html":
        return [write_page(view, folder)]
    if name == "md":
        return [write_text(folder / "report.md", report_markdown(view))]
    if name == "json":
        return [write_text(folder / "report.json", report_json(view))]
    if name == "csv":
        return [write_text(folder / f"{table}.csv", text) for table, text in report_tables(view).items()]
    raise ValueError(f"format {name!r}; allowed: html, md, json, csv")
