from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from tasearch.domain.result import Role
from tasearch.report.summary import WIDTH, to_json, to_text
from tasearch.report.view import StudyView, score_of

from .factories import ARMS, make_chain, make_finals, make_trial, make_verdict, make_view, make_view_without_finals


def answer(view: StudyView) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads(json.dumps(to_json(view, Path("reports/report.html"), 3, 18))))


def test_json_has_exactly_the_promised_keys(view: StudyView) -> None:
    keys = {name: set(value) for name, value in answer(view).items() if isinstance(value, dict)}
    assert list(answer(view)) == [
        *("study_name", "storage", "metric", "trials", "best", "baselines", "given_teacher"),
        *("stages", "ranking", "verdict", "report"),
    ]
    assert keys == {
        "trials": {"complete", "pruned", "failed"},
        "best": {"chain", "temperature", "kd_weight", "val_accuracy"},
        "baselines": {"nokd", "blkd"},
        "stages": {"trained", "reused"},
        "verdict": {
            *("text", "winner", "difference", "ci_low", "ci_high", "n", "separated"),
            *("leader", "nokd", "search_optimism", "replicates_to_separate"),
            *("looks", "looks_taken", "level", "dropped", "notes"),
        },
    }


def test_json_tells_how_the_verdict_came_about(view: StudyView) -> None:
    assert view.verdict is not None
    lead = view.verdict.scores[0]
    shown = answer(view)["verdict"]
    assert lead.versus_nokd is not None
    assert (shown["leader"], shown["nokd"]["difference"]) == (lead.arm, lead.versus_nokd.mean)
    assert shown["search_optimism"] == lead.optimism
    assert (shown["looks"], shown["looks_taken"], shown["level"]) == ([5, 20], [5], 0.0123)


def test_text_tells_the_race_look_by_look(view: StudyView) -> None:
    lines = to_text(view, None).splitlines()
    at = lines.index("Race (on val)")
    assert lines[at + 1].startswith("  5 replicates, 2 in the race: plain10 > plain8 > plain6 > plain4 > plain2")


def test_every_ranked_chain_has_the_same_keys(view: StudyView) -> None:
    keys = {tuple(row) for row in answer(view)["ranking"]}
    assert keys == {
        ("rank", "chain", "temperature", "kd_weight", "val_accuracy", "temperatures", "kd_weights", "test_accuracy",
         "difference", "ci_low", "ci_high")
    }  # fmt: skip


def test_json_names_the_best_chain_of_the_search() -> None:
    chain = make_chain("plain10", "plain4", "plain2", temperature=8.0, kd_weight=0.5)
    rows = (make_trial(0, chain, 0.71), make_trial(1, make_chain("plain10", "plain2"), 0.70))
    assert answer(make_view_without_finals(trials=rows))["best"] == {
        "chain": "plain10 > plain4 > plain2",
        "temperature": 8.0,
        "kd_weight": 0.5,
        "val_accuracy": 0.71,
    }


def test_json_counts_trials_and_this_runs_stages(view: StudyView) -> None:
    assert answer(view)["trials"] == {"complete": 18, "pruned": 1, "failed": 1}
    assert answer(view)["stages"] == {"trained": 3, "reused": 18}


def test_only_chains_of_the_finals_carry_test_accuracy(view: StudyView) -> None:
    tested = [row["chain"] for row in answer(view)["ranking"] if row["test_accuracy"] is not None]
    assert sorted(tested) == sorted(chain.printed_path for _, chain, _ in ARMS if chain is not None)


def test_a_ranked_chain_has_the_pair_of_each_stage(view: StudyView) -> None:
    for row in answer(view)["ranking"]:
        stages = row["chain"].count(" > ")
        assert len(row["temperatures"]) == len(row["kd_weights"]) == stages
        assert (row["temperatures"][-1], row["kd_weights"][-1]) == (row["temperature"], row["kd_weight"])


def test_a_finalists_difference_is_a_fraction_with_its_interval(view: StudyView) -> None:
    assert view.verdict is not None
    lead = next(score for score in view.verdict.scores if score.role is Role.FINALIST)
    row = next(row for row in answer(view)["ranking"] if row["test_accuracy"] is not None)
    assert lead.versus_blkd is not None
    assert (row["difference"], row["ci_low"], row["ci_high"]) == (
        lead.versus_blkd.mean,
        lead.versus_blkd.low,
        lead.versus_blkd.high,
    )


def test_baselines_carry_val_and_test(view: StudyView) -> None:
    nokd, blkd = score_of(view.verdict, Role.NOKD), score_of(view.verdict, Role.BLKD)
    assert nokd is not None
    assert blkd is not None
    assert view.blkd is not None
    assert answer(view)["baselines"] == {
        "nokd": {"val_accuracy": 0.655, "test_accuracy": nokd.test_accuracy},
        "blkd": {
            "val_accuracy": view.blkd.val_accuracy,
            "test_accuracy": blkd.test_accuracy,
            "temperature": 4.0,
            "kd_weight": 0.9,
        },
    }


def test_what_does_not_exist_yet_is_null() -> None:
    shown = to_json(make_view_without_finals(trials=()), None, 0, 0)
    assert (shown["best"], shown["verdict"], shown["report"], shown["ranking"]) == (None, None, None, [])


def test_the_report_is_a_path() -> None:
    assert answer(make_view())["report"] == str(Path("reports/report.html"))


def test_text_begins_with_the_verdict(view: StudyView) -> None:
    assert view.verdict is not None
    assert " ".join(to_text(view, None).split()).startswith(view.verdict.text)


def test_text_shows_the_verdicts_notes(view: StudyView) -> None:
    assert "- the teacher is given: the interval does not cover its training" in to_text(view, None).splitlines()


def test_text_shows_the_finals_with_n_and_interval(view: StudyView) -> None:
    assert view.verdict is not None
    row = next(line for line in to_text(view, None).splitlines() if line.startswith("  plain10 > plain2 (BLKD)"))
    assert row.split()[4:7] == ["4", "0.9", "5"]


def test_text_names_all_baselines(view: StudyView) -> None:
    text = " ".join(to_text(view, None).split())
    assert "NOKD 65.5%, BLKD 70.1% (temperature 4, KD weight 0.9), teacher plain10 84.2%" in text


def test_text_says_where_the_report_lies(view: StudyView) -> None:
    assert to_text(view, Path("a/report.html")).splitlines()[-1] == f"Report: {Path('a/report.html')}"


def test_text_shows_this_runs_stages_where_given(view: StudyView) -> None:
    assert "Stages: 0 trained by this run, 42 reused" in to_text(view, None, 0, 42)


def test_text_shows_the_studys_stages_otherwise(view: StudyView) -> None:
    assert "Stages: 61 trained in 12 min 3 s, 24 reused" in to_text(view, None)


def test_text_without_trials_says_so() -> None:
    assert "Search: no trial has completed." in to_text(make_view_without_finals(trials=()), None).splitlines()


def test_no_line_is_wider_than_a_terminal() -> None:
    names = ("resnet110", "resnet56", "resnet44", "resnet26", "resnet20", "resnet14", "resnet8")
    chain = make_chain(*names)
    capacities = dict.fromkeys(names[1:-1], make_view().ta_capacities["plain4"])
    finals = make_finals()
    view = make_view(
        trials=(make_trial(0, chain, 0.7),),
        ta_capacities=capacities,
        verdict=make_verdict(finals),
        study_name="a long study name " * 12,
    )
    lines = to_text(view, None).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert all(any(name in line for line in lines) for name in names)


def test_one_replicate_has_no_interval_in_the_text() -> None:
    finals = make_finals(1)
    assert "[no interval]" in to_text(make_view(finals=finals, verdict=make_verdict(finals)), None)


@pytest.mark.parametrize("name", ["evil\x1b[2Jstudy", "evil\rstudy"])
def test_a_study_name_cannot_drive_the_terminal(name: str) -> None:
    text = to_text(make_view(study_name=name), None)
    assert all(character.isprintable() or character == "\n" for character in text)
