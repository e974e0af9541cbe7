"""A report in the formats that were asked for, in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasearch.report.export import report_json, report_tables
from tasearch.report.markdown import report_markdown
from tasearch.report.page import write_page
from tasearch.report.view import StudyView
from tasearch.report.writing import write_text


def write_report(view: StudyView, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write a study's report and return the files, in the order of the formats: `html`, `md`, `json` or `csv`.

    A CSV report is a file for each table. Raises StorageError where the folder cannot be used.
    """
    written: list[Path] = []
    for name in formats:
        if name == "html":
            written.append(write_page(view, folder))
        elif name == "md":
            written.append(write_text(folder / "report.md", report_markdown(view)))
        elif name == "json":
            written.append(write_text(folder / "report.json", report_json(view)))
        elif name == "csv":
            tables = report_tables(view)
            written += [write_text(folder / f"{table}.csv", text) for table, text in tables.items()]
        else:
            raise ValueError(f"format {name!r}; allowed: html, md, json, csv")
    return written
