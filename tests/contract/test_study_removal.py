from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tasearch.domain.spec import StageSpec
from tasearch.stores.artifacts import ArtifactStore
from tasearch.stores.home import Home
from tasearch.stores.records import Records
from tasearch.stores.shared_artifacts import check_shared
from tasearch.stores.study_removal import StudyGoods, find_goods, remove_goods
from tests.contract.examples import final, result_of, stage

TEACHER = stage("plain10")
STUDENT = stage(teacher=TEACHER)
OTHER = stage("plain4")


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "artifacts"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def study(records: Records, artifacts: ArtifactStore) -> Callable[..., None]:
    """Make a study that has asked for some stages, each of them trained."""

    def make(name: str, *stages: StageSpec, config: dict[str, object] | None = None) -> None:
        records.studies.create(name, {}, config or {}, {})
        check_shared(records, name, artifacts, "host:1:1")
        for spec in stages:
            if (claim := records.stages.claim(spec, "host:1:1", 60.0)) is not None:
                artifact_id = artifacts.put(spec.fingerprint.encode())
                records.stages.complete(claim, result_of(spec, artifact_id=artifact_id))
            records.stages.link(name, spec.fingerprint, "chain")

    return make


def goods_of(records: Records, artifacts: ArtifactStore, home: Home, name: str = "pets") -> StudyGoods:
    found = records.studies.find(name)
    assert found is not None
    return find_goods(records, artifacts, home, found)


def names(goods: StudyGoods) -> set[str]:
    return {stage.fingerprint for stage in goods.stages}


def test_young_stages_of_the_study_go_with_their_weights(
    records: Records, artifacts: ArtifactStore, home: Home, study: Callable[..., None]
) -> None:
    study("pets", TEACHER, STUDENT)
    found = goods_of(records, artifacts, home)
    assert names(found) == {TEACHER.fingerprint, STUDENT.fingerprint}
    assert (len(found.artifacts), found.bytes, found.num_kept) == (2, 128, 0)
    assert artifacts.files(), "finding removes nothing"
    assert remove_goods(records, artifacts, home, found).bytes == 128
    assert artifacts.files() == []
    assert artifacts.notes() == []
    assert records.studies.find("pets") is None
    assert records.stages.find(STUDENT.fingerprint) is None


def test_what_teaches_a_stage_of_another_study_stays(
    records: Records, artifacts: ArtifactStore, home: Home, study: Callable[..., None]
) -> None:
    study("pets", TEACHER, OTHER)
    study("birds", STUDENT)
    found = goods_of(records, artifacts, home)
    assert names(found) == {OTHER.fingerprint}
    assert found.num_kept == 1


@pytest.mark.parametrize("need", ["final", "scratch"])
def test_what_another_study_reports_stays(
    records: Records, artifacts: ArtifactStore, home: Home, study: Callable[..., None], need: str
) -> None:
    study("pets", OTHER)
    study("birds", config={"scratch": {"plain4": OTHER.fingerprint}} if need == "scratch" else {})
    if need == "final":
        records.finals.open_round("birds", [final()])
        records.finals.record_val("birds", 1, final().arm, 1, OTHER.fingerprint, 0.7)
    assert names(goods_of(records, artifacts, home)) == set()


def test_a_stage_that_somebody_trains_stays(
    records: Records, artifacts: ArtifactStore, home: Home, study: Callable[..., None]
) -> None:
    study("pets")
    records.stages.claim(OTHER, "elsewhere:1:1", 60.0)
    records.stages.link("pets", OTHER.fingerprint, "chain")
    assert names(goods_of(records, artifacts, home)) == set()


def test_a_stage_that_is_asked_for_meanwhile_stays_with_its_weights(
    records: Records, artifacts: ArtifactStore, home: Home, study: Callable[..., None]
) -> None:
    study("pets", OTHER, STUDENT)
    found = goods_of(records, artifacts, home)
    study("birds", OTHER)
    removed = remove_goods(records, artifacts, home, found)
    assert names(removed) == {STUDENT.fingerprint}
    row = records.stages.find(OTHER.fingerprint)
    assert row is not None
    assert artifacts.exists(str(row.artifact_id))


def test_without_artifacts_only_records_go(
    records: Records, artifacts: ArtifactStore, home: Home, study: Callable[..., None]
) -> None:
    study("pets", OTHER)
    row = records.studies.find("pets")
    assert row is not None
    remove_goods(records, None, home, find_goods(records, None, home, row))
    assert records.stages.find(OTHER.fingerprint) is None
    assert len(artifacts.files()) == 1
