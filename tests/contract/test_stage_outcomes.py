"""What became of a study's stages."""

from __future__ import annotations

from tasearch.stores.records import Records
from tasearch.stores.stage_outcomes import stage_outcomes
from tests.contract.examples import result_of, stage


def test_outcomes_are_those_of_the_recorded_stages_for_each_role(records: Records) -> None:
    stages = records.stages
    teacher = stage("plain10")
    for spec, role in ((teacher, "teacher"), (stage(teacher=teacher), "chain"), (stage("plain4"), "rung")):
        stages.link("study", spec.fingerprint, role)
    stages.link("study", teacher.fingerprint, "nokd")
    claim = stages.claim(teacher, "host:1:2", 60.0)
    assert claim is not None
    stages.complete(claim, result_of(teacher))
    claim = stages.claim(stage("plain4"), "host:1:2", 60.0)
    assert claim is not None
    stages.fail(claim, "diverged")
    found = stage_outcomes(records.engine, "study")
    expected = [
        (row.fingerprint, role, row.state, row.val_accuracy, row.seconds, row.environment, row.failure)
        for row, role in stages.stages_of("study")
    ]
    assert [
        (one.fingerprint, one.role, one.state, one.val_accuracy, one.seconds, one.environment, one.failure)
        for one in found
    ] == expected
    assert [one.role for one in found] == ["nokd", "teacher", "rung"]


def test_stages_of_another_study_are_not_among_them(records: Records) -> None:
    spec = stage()
    records.stages.link("other", spec.fingerprint, "chain")
    records.stages.claim(spec, "host:1:2", 60.0)
    assert stage_outcomes(records.engine, "study") == []
