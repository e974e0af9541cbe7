"""What became of a study's stages."""

from __future__ import annotations

from tasearch.stores.records import Records
from tasearch.stores.stage_outcomes import num_retries, stage_details, stage_outcomes
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


def test_details_say_who_taught_a_stage_how_and_what_came_out(records: Records) -> None:
    stages = records.stages
    teacher, student = stage("plain10"), stage(teacher=stage("plain10"))
    for spec, role in ((teacher, "teacher"), (student, "chain"), (student, "final")):
        stages.link("study", spec.fingerprint, role)
    for spec in (teacher, student):
        claim = stages.claim(spec, "host:1:2", 60.0)
        assert claim is not None
        stages.complete(claim, result_of(spec))
    first, second = stage_details(records.engine, "study")
    assert (first.student, first.teacher_fingerprint, first.temperature, first.roles) == (
        *("plain10", None, None),
        ("teacher",),
    )
    assert (second.teacher_fingerprint, second.temperature, second.kd_weight) == (teacher.fingerprint, 4.0, 0.9)
    assert (second.roles, second.attempts, second.seconds) == (("chain", "final"), 1, result_of(student).seconds)
    assert second.environment == result_of(student).environment


def test_details_count_how_often_a_stage_was_begun_and_put_the_unfinished_last(records: Records) -> None:
    stages = records.stages
    unfinished, done = stage("plain4"), stage("plain10")
    for spec in (unfinished, done):
        stages.link("study", spec.fingerprint, "chain")
    for _ in range(2):
        claim = stages.claim(unfinished, "host:1:2", 60.0)
        assert claim is not None
        stages.release(claim)
    claim = stages.claim(done, "host:1:2", 60.0)
    assert claim is not None
    stages.complete(claim, result_of(done))
    found = stage_details(records.engine, "study")
    assert [(one.student, one.attempts) for one in found] == [("plain10", 1), ("plain4", 2)]


def test_retries_of_a_study_are_summed(records: Records) -> None:
    assert num_retries(records.engine, "study") == 0
    for study_name, times in (("study", 2), ("other", 1)):
        for _ in range(times):
            lease = records.leases.claim(study_name, "trial 0", "host:1:2", 60.0)
            assert lease is not None
            records.leases.release(lease, failed=True)
    assert num_retries(records.engine, "study") == 2
