from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tasearch.domain.errors import ConfigError, LeaseLostError, StorageError
from tasearch.domain.result import Role
from tasearch.domain.spec import ChainSpec
from tasearch.stores.records import Records
from tasearch.stores.stages import StageClaim, StageRow, StageState
from tests.contract.examples import ARTIFACT, CHAIN, final, result_of, stage

TEACHER = stage("plain10")
SPEC = stage(teacher=TEACHER)
EXPIRED = -1.0
"""A lease that has run out when it begins."""


def claimed(records: Records, owner: str = "ada", lease_seconds: float = 60.0) -> StageClaim:
    claim = records.stages.claim(SPEC, owner, lease_seconds)
    assert claim is not None
    return claim


def stored(records: Records) -> StageRow:
    row = records.stages.find(SPEC.fingerprint)
    assert row is not None
    return row


class TestClaiming:
    def test_unknown_stage_is_not_found(self, records: Records) -> None:
        assert records.stages.find(SPEC.fingerprint) is None

    def test_new_stage_is_recorded_as_it_was_asked_for(self, records: Records) -> None:
        claim = claimed(records)
        row = stored(records)
        assert claim == StageClaim(fingerprint=SPEC.fingerprint, owner="ada", attempt=1)
        assert row.spec == SPEC.to_plain()
        assert (row.student, row.teacher_fingerprint, row.replicate) == ("plain2", TEACHER.fingerprint, 0)
        assert (row.state, row.owner, row.attempt) == (StageState.RUNNING, "ada", 1)
        assert (row.epoch, row.epochs) == (0, 10)

    def test_stage_without_a_teacher_has_no_teacher_fingerprint(self, records: Records) -> None:
        records.stages.claim(TEACHER, "ada", 60.0)
        row = records.stages.find(TEACHER.fingerprint)
        assert row is not None
        assert row.teacher_fingerprint is None

    def test_creation_is_an_instant_in_utc(self, records: Records) -> None:
        claimed(records)
        created = stored(records).created_at
        assert created.tzinfo == UTC
        assert abs((datetime.now(UTC) - created).total_seconds()) < 60

    def test_lease_is_counted_by_the_clock_of_the_database(self, records: Records) -> None:
        claimed(records)
        left = stored(records).lease_left
        assert left is not None
        assert 50 < left <= 60

    def test_held_stage_is_refused(self, records: Records) -> None:
        claimed(records)
        assert records.stages.claim(SPEC, "bob", 60.0) is None
        assert stored(records).owner == "ada"

    def test_holder_is_refused_too(self, records: Records) -> None:
        claimed(records)
        assert records.stages.claim(SPEC, "ada", 60.0) is None

    def test_stage_whose_lease_ran_out_goes_to_the_next(self, records: Records) -> None:
        claimed(records, lease_seconds=EXPIRED)
        assert claimed(records, "bob").attempt == 2
        assert stored(records).owner == "bob"

    def test_released_stage_goes_to_the_next(self, records: Records) -> None:
        records.stages.release(claimed(records))
        row = stored(records)
        assert (row.state, row.owner, row.lease_left) == (StageState.RELEASED, None, None)
        assert claimed(records, "bob").attempt == 2

    def test_failed_stage_says_why_and_goes_to_the_next(self, records: Records) -> None:
        records.stages.fail(claimed(records), "diverged at epoch 3\x00")
        row = stored(records)
        assert (row.state, row.failure, row.owner) == (StageState.FAILED, "diverged at epoch 3", "ada")
        assert claimed(records, "bob").attempt == 2
        assert stored(records).failure is None

    def test_complete_stage_is_refused(self, records: Records) -> None:
        records.stages.complete(claimed(records), result_of(SPEC))
        assert records.stages.claim(SPEC, "bob", 60.0) is None
        assert stored(records).state is StageState.COMPLETE

    def test_many_stages_are_found_at_once(self, records: Records) -> None:
        claimed(records)
        records.stages.claim(TEACHER, "ada", 60.0)
        wanted = [SPEC.fingerprint, TEACHER.fingerprint, *(f"{n:064x}" for n in range(1200))]
        assert set(records.stages.find_many(wanted)) == {SPEC.fingerprint, TEACHER.fingerprint}


class TestTakingOver:
    def test_dead_owner_loses_the_stage_before_its_lease_ends(self, records: Records) -> None:
        claimed(records)
        claim = records.stages.take_over(SPEC, "bob", "ada", 60.0)
        assert claim == StageClaim(fingerprint=SPEC.fingerprint, owner="bob", attempt=2)

    def test_another_owner_keeps_it(self, records: Records) -> None:
        claimed(records)
        assert records.stages.take_over(SPEC, "bob", "carol", 60.0) is None
        assert stored(records).owner == "ada"

    def test_completed_stage_is_not_taken(self, records: Records) -> None:
        records.stages.complete(claimed(records), result_of(SPEC))
        assert records.stages.take_over(SPEC, "bob", "ada", 60.0) is None

    def test_unknown_stage_is_not_taken(self, records: Records) -> None:
        assert records.stages.take_over(SPEC, "bob", "ada", 60.0) is None


class TestHolding:
    def test_renewing_extends_the_lease_and_notes_progress(self, records: Records) -> None:
        claim = claimed(records, lease_seconds=5.0)
        records.stages.renew(claim, 3, 60.0)
        row = stored(records)
        assert row.epoch == 3
        assert row.lease_left is not None
        assert row.lease_left > 50

    def test_lease_that_ran_out_can_be_renewed_while_nobody_took_it(self, records: Records) -> None:
        records.stages.renew(claimed(records, lease_seconds=EXPIRED), 1, 60.0)
        assert stored(records).owner == "ada"

    def test_result_comes_back_exactly(self, records: Records) -> None:
        records.stages.complete(claimed(records), result_of(SPEC))
        row = stored(records)
        assert row.result() == result_of(SPEC)
        assert (row.epoch, row.leased_until) == (row.epochs, None)
        assert row.finished_at is not None

    def test_unfinished_stage_has_no_result(self, records: Records) -> None:
        claimed(records)
        with pytest.raises(ValueError, match="running, it has no result"):
            stored(records).result()

    def test_result_of_another_stage_is_refused(self, records: Records) -> None:
        with pytest.raises(ValueError, match="offered for"):
            records.stages.complete(claimed(records), result_of(TEACHER))

    def test_replaced_claim_can_change_nothing(self, records: Records) -> None:
        old = claimed(records, lease_seconds=EXPIRED)
        claimed(records, "bob")
        before = replace(stored(records), lease_left=None)
        with pytest.raises(LeaseLostError, match=r"attempt 1 of ada .* attempt 2 of bob"):
            records.stages.renew(old, 9, 60.0)
        with pytest.raises(LeaseLostError):
            records.stages.complete(old, result_of(SPEC))
        with pytest.raises(LeaseLostError):
            records.stages.release(old)
        with pytest.raises(LeaseLostError):
            records.stages.fail(old, "late")
        assert replace(stored(records), lease_left=None) == before

    def test_claim_is_fenced_by_its_attempt_when_one_owner_claims_twice(self, records: Records) -> None:
        old = claimed(records, lease_seconds=EXPIRED)
        claimed(records)
        with pytest.raises(LeaseLostError):
            records.stages.complete(old, result_of(SPEC))

    def test_completion_is_recorded_once(self, records: Records) -> None:
        claim = claimed(records)
        records.stages.complete(claim, result_of(SPEC))
        with pytest.raises(LeaseLostError, match="it is complete"):
            records.stages.complete(claim, result_of(SPEC, artifact_id="b" * 64))
        assert stored(records).artifact_id == ARTIFACT

    def test_claim_of_an_unknown_stage_is_lost(self, records: Records) -> None:
        with pytest.raises(LeaseLostError, match="not in the store"):
            records.stages.renew(StageClaim(fingerprint="f" * 64, owner="ada", attempt=1), 1, 60.0)


class TestInvalidating:
    def test_stage_with_a_lost_artifact_is_trained_again(self, records: Records) -> None:
        records.stages.complete(claimed(records), result_of(SPEC))
        assert records.stages.invalidate(SPEC.fingerprint, ARTIFACT)
        row = stored(records)
        assert (row.state, row.epoch, row.artifact_id, row.curve) == (StageState.RELEASED, 0, None, ())
        assert claimed(records, "bob").attempt == 2

    def test_stage_that_was_trained_again_meanwhile_is_kept(self, records: Records) -> None:
        records.stages.complete(claimed(records), result_of(SPEC))
        assert not records.stages.invalidate(SPEC.fingerprint, "b" * 64)
        assert stored(records).state is StageState.COMPLETE


class TestLinks:
    def test_stages_of_a_study_come_with_their_roles(self, records: Records) -> None:
        records.stages.claim(TEACHER, "ada", 60.0)
        claimed(records)
        records.stages.link("s", TEACHER.fingerprint, "teacher")
        records.stages.link("s", SPEC.fingerprint, "final")
        records.stages.link("s", SPEC.fingerprint, "chain")
        found = [(row.student, role) for row, role in records.stages.stages_of("s")]
        assert found == [("plain10", "teacher"), ("plain2", "chain"), ("plain2", "final")]

    def test_linking_again_changes_nothing(self, records: Records) -> None:
        claimed(records)
        records.stages.link("s", SPEC.fingerprint, "chain")
        records.stages.link("s", SPEC.fingerprint, "chain")
        assert len(records.stages.stages_of("s")) == 1

    def test_other_studies_do_not_see_the_link(self, records: Records) -> None:
        claimed(records)
        records.stages.link("s", SPEC.fingerprint, "chain")
        assert records.stages.stages_of("t") == []


class TestStudies:
    def test_study_comes_back_as_created(self, records: Records) -> None:
        assert records.studies.create("s", {"teacher": "plain10"}, {"trials": 40}, {"torch": "2.15"})
        study = records.studies.find("s")
        assert study is not None
        assert (study.identity, study.config) == ({"teacher": "plain10"}, {"trials": 40})
        assert (study.versions, study.attrs) == ({"torch": "2.15"}, {})
        assert study.created_at.tzinfo == UTC

    def test_same_identity_has_the_same_hash_in_any_order(self, records: Records) -> None:
        records.studies.create("s", {"a": 1, "b": 2.0}, {}, {})
        records.studies.create("t", {"b": 2.0, "a": 1}, {}, {})
        assert len({study.identity_hash for study in records.studies.list_all()}) == 1

    def test_existing_study_is_not_replaced(self, records: Records) -> None:
        records.studies.create("s", {"a": 1}, {}, {})
        assert not records.studies.create("s", {"a": 2}, {}, {})
        study = records.studies.find("s")
        assert study is not None
        assert study.identity == {"a": 1}

    @pytest.mark.parametrize("name", ["", "x" * 513])
    def test_name_that_does_not_fit_is_refused(self, records: Records, name: str) -> None:
        with pytest.raises(ConfigError, match="allowed: 1 to 512"):
            records.studies.create(name, {}, {}, {})

    def test_unknown_study_is_not_found(self, records: Records) -> None:
        assert records.studies.find("s") is None

    def test_studies_are_listed_oldest_first(self, records: Records) -> None:
        for name in ("z", "a"):
            records.studies.create(name, {}, {}, {})
        assert [study.study_name for study in records.studies.list_all()] == ["z", "a"]

    def test_attrs_not_mentioned_are_kept(self, records: Records) -> None:
        records.studies.create("s", {}, {}, {})
        records.studies.update_attrs("s", {"nokd": 0.655, "stop": True})
        assert records.studies.update_attrs("s", {"stop": False}) == {"nokd": 0.655, "stop": False}

    def test_appending_makes_and_extends_a_list(self, records: Records) -> None:
        records.studies.create("s", {}, {}, {})
        records.studies.append_attr("s", "test_opened_at", "first")
        assert records.studies.append_attr("s", "test_opened_at", "again") == {"test_opened_at": ["first", "again"]}

    def test_of_two_workers_on_one_occasion_the_first_is_noted(self, records: Records) -> None:
        records.studies.create("s", {}, {}, {})
        for value, occasion in (("first", "round 1"), ("second", "round 1"), ("third", "round 2")):
            attrs = records.studies.append_attr("s", "opened", value, occasion=occasion)
        assert attrs["opened"] == ["first", "third"]

    def test_config_is_replaced(self, records: Records) -> None:
        records.studies.create("s", {}, {"trials": 40}, {})
        records.studies.update_config("s", {"trials": 60})
        study = records.studies.find("s")
        assert study is not None
        assert study.config == {"trials": 60}

    def test_changing_an_unknown_study_is_an_error(self, records: Records) -> None:
        with pytest.raises(StorageError, match="no study named `s`"):
            records.studies.update_attrs("s", {})
        with pytest.raises(StorageError, match="no study named `s`"):
            records.studies.update_config("s", {})

    def test_deleting_removes_all_of_a_study_but_its_stages(self, records: Records) -> None:
        for name in ("s", "t"):
            records.studies.create(name, {}, {}, {})
            records.finals.plan(name, [final()])
            records.workers.put(name, "ada", {})
            records.stages.link(name, SPEC.fingerprint, "chain")
        claimed(records)
        assert records.studies.delete("s")
        assert records.studies.find("s") is None
        assert (records.finals.rows("s"), records.workers.all("s"), records.stages.stages_of("s")) == ([], [], [])
        assert stored(records).fingerprint == SPEC.fingerprint
        assert [len(records.finals.rows("t")), len(records.workers.all("t"))] == [1, 1]

    def test_deleting_an_unknown_study_says_so(self, records: Records) -> None:
        assert not records.studies.delete("s")


class TestFinals:
    def test_planned_rows_come_back_in_order(self, records: Records) -> None:
        nokd = final("NOKD", role=Role.NOKD, chain=None)
        blkd = final("direct", role=Role.BLKD)
        rows = [nokd, final("b"), final("a", replicate=2), final("a"), blkd, final("a", round=2)]
        records.finals.plan("s", rows)
        assert records.finals.rows("s") == [
            final("a"),
            final("a", replicate=2),
            final("b"),
            blkd,
            nokd,
            final("a", round=2),
        ]

    def test_planning_again_keeps_what_is_recorded(self, records: Records) -> None:
        records.finals.plan("s", [final()])
        records.finals.record_val("s", 1, CHAIN.label, 1, SPEC.fingerprint, 0.7)
        records.finals.plan("s", [final(), final(replicate=2)])
        assert [row.val_accuracy for row in records.finals.rows("s")] == [0.7, None]

    def test_planning_nothing_changes_nothing(self, records: Records) -> None:
        records.finals.plan("s", [])
        assert records.finals.rows("s") == []

    def test_two_chains_under_one_label_are_refused(self, records: Records) -> None:
        other = ChainSpec(path=CHAIN.path, temperatures=(8.0, 2.0), kd_weights=CHAIN.kd_weights)
        with pytest.raises(ValueError, match="share the arm"):
            records.finals.plan("s", [final(), final(chain=other, replicate=2)])

    def test_first_planner_of_a_round_decides_its_arms(self, records: Records) -> None:
        records.studies.create("s", {}, {}, {})
        assert records.finals.open_round("s", [final("a")])
        assert not records.finals.open_round("s", [final("b")])
        assert records.finals.open_round("s", [final("b", round=2)])
        assert [(row.round, row.arm) for row in records.finals.rows("s")] == [(1, "a"), (2, "b")]

    def test_round_of_an_unknown_study_is_an_error(self, records: Records) -> None:
        with pytest.raises(StorageError, match="no study named `s`"):
            records.finals.open_round("s", [final()])

    def test_opening_two_rounds_at_once_is_refused(self, records: Records) -> None:
        with pytest.raises(ValueError, match="one round is opened at a time"):
            records.finals.open_round("s", [final(), final(round=2)])

    def test_val_accuracy_is_recorded_with_its_stage(self, records: Records) -> None:
        records.finals.plan("s", [final()])
        records.finals.record_val("s", 1, CHAIN.label, 1, SPEC.fingerprint, 0.1 + 0.2)
        row = records.finals.rows("s")[0]
        assert (row.fingerprint, row.val_accuracy) == (SPEC.fingerprint, 0.1 + 0.2)

    def test_a_failure_is_recorded(self, records: Records) -> None:
        records.finals.plan("s", [final()])
        records.finals.record_failure("s", 1, CHAIN.label, 1, "diverged in epoch 2")
        assert records.finals.rows("s")[0].failure == "diverged in epoch 2"

    def test_test_accuracy_is_recorded_once(self, records: Records) -> None:
        records.finals.plan("s", [final()])
        assert records.finals.record_test("s", 1, CHAIN.label, 1, 0.7)
        assert not records.finals.record_test("s", 1, CHAIN.label, 1, 0.8)
        assert records.finals.rows("s")[0].test_accuracy == 0.7

    def test_recording_what_was_not_planned_is_an_error(self, records: Records) -> None:
        with pytest.raises(StorageError, match="no final of `x` on replicate 1 in round 1"):
            records.finals.record_val("s", 1, "x", 1, SPEC.fingerprint, 0.7)
        with pytest.raises(StorageError, match="no final of `x` on replicate 1 in round 1"):
            records.finals.record_test("s", 1, "x", 1, 0.7)


class TestWorkers:
    def test_latest_payload_comes_back_with_its_age(self, records: Records) -> None:
        records.workers.put("s", "ada", {"doing": "stage 1"})
        records.workers.put("s", "ada", {"doing": "stage 2"})
        ((worker_id, payload, age),) = records.workers.all("s")
        assert (worker_id, payload) == ("ada", {"doing": "stage 2"})
        assert 0 <= age < 30

    def test_workers_are_listed_by_id_and_study(self, records: Records) -> None:
        for study_name, worker_id in (("s", "b"), ("s", "B"), ("s", "a"), ("t", "c")):
            records.workers.put(study_name, worker_id, {})
        assert [worker_id for worker_id, _, _ in records.workers.all("s")] == ["B", "a", "b"]

    def test_removed_worker_is_gone(self, records: Records) -> None:
        records.workers.put("s", "ada", {})
        records.workers.remove("s", "ada")
        records.workers.remove("s", "ada")
        assert records.workers.all("s") == []
