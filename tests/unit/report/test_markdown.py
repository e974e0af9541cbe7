from __future__ import annotations

import re

from tasearch.report import markdown
from tasearch.report.markdown import report_markdown
from tasearch.report.view import StudyView

from .factories import make_chain, make_trial, make_view, make_view_without_finals

HOSTILE = "<script>alert(1)</script>|[a](javascript:b) `c` *d* # e\n# f"


def test_the_verdict_stands_on_top(view: StudyView) -> None:
    assert view.verdict is not None
    title, text = report_markdown(view).split("\n\n")[:2]
    assert title == "# Distilling plain10 into plain2 on cluttered-digits"
    assert text.replace("\\", "") == f"**{view.verdict.text}**"


def test_sections_follow_the_page(view: StudyView) -> None:
    assert re.findall(r"^## (.*)$", report_markdown(view), re.MULTILINE) == [
        *(
            "What was compared",
            "Models",
            "Finals",
            "Ranking of chains",
            "Temperature and KD weight",
            "Cost",
            "Provenance",
        ),
    ]


def test_all_rows_of_a_table_have_as_many_cells_as_its_header(view: StudyView) -> None:
    for block in report_markdown(view).split("\n\n"):
        if block.startswith("| "):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_the_best_chains_are_listed_and_the_others_counted(view: StudyView) -> None:
    text = report_markdown(view)
    assert text.count("\n| 12 | ") == 1
    assert f"{len(view.ranking) - markdown.RANKED} chains more." in text


def test_the_commands_are_shown_as_code(view: StudyView) -> None:
    assert f"```\n{view.command}\n```" in report_markdown(view)


def test_names_are_shown_as_text() -> None:
    chain = make_chain("plain10", "plain4", "plain2")
    text = report_markdown(make_view_without_finals(study_name=HOSTILE, trials=(make_trial(0, chain, 0.7),)))
    assert "<script>" not in text
    assert "&lt;script>alert(1)&lt;/script>\\|\\[a\\](javascript:b) \\`c\\` \\*d\\* \\# e \\# f" in text


def test_a_command_that_names_objects_of_a_program_is_said_to_be_for_python() -> None:
    shown = report_markdown(make_view(command="tasearch optimize --student object:net"))
    assert "given objects of a Python program" in shown


def test_a_fence_inside_a_command_does_not_end_its_block() -> None:
    command = "tasearch optimize --study-name '```'"
    assert f"````\n{command}\n````" in report_markdown(make_view(command=command))


def test_a_study_without_trials_has_what_there_is() -> None:
    text = report_markdown(make_view_without_finals(trials=(), stages=(), importances=()))
    assert "## Finals" not in text
    assert "not trained yet" in text
