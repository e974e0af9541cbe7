"""What cannot be carried out as typed: one error that names the value, one hint, nothing created."""

from __future__ import annotations

import socket
import sqlite3
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch

from tests.image_folder import make_image_folder
from tests.unit.cli.conftest import SMALL, Run


@pytest.mark.parametrize(
    ("teacher", "student", "named", "hinted"),
    [
        ("plain11", "plain2", "unknown model 'plain11'", "did you mean `plain10`?"),
        ("plain10", "plian2", "unknown model 'plian2'", "did you mean `plain2`?"),
        ("resnet21", "resnet8", "unknown model 'resnet21'", "resnet20 and resnet26"),
        ("plain2", "plain2", "teacher plain2 (5,114 parameters) is not larger than student plain2", "swap them"),
        ("plain2", "plain6", "teacher plain2 (5,114 parameters) is not larger than student plain6", "swap them"),
        ("mynets.make", "plain2", "unknown model 'mynets.make'", "package.module:function"),
        ("torchvision:resnet19", "plain2", "unknown model 'torchvision:resnet19'", "resnet18"),
        ("nowhere.nets:make", "plain2", "there is no module 'nowhere'", "it is looked for in"),
    ],
)
def test_a_pair_of_models_that_cannot_be_searched(
    refuse: Run, teacher: str, student: str, named: str, hinted: str
) -> None:
    answer = refuse(["optimize", "--teacher", teacher, "--student", student, *SMALL])
    assert named in answer.error
    assert hinted in answer.hint


@pytest.mark.parametrize(
    ("tas", "named"),
    [
        ("plain4,plain5", "unknown model 'plain5'"),
        ("plain8", "plain8 has 303,098 parameters, which is outside the ladder"),
        ("plain2", "plain2 has 5,114 parameters, which is outside the ladder"),
        ("plain6", "plain6 has 74,810 parameters, which is outside the ladder"),
        (",", "','"),
    ],
)
def test_a_ta_that_is_no_rung(refuse_optimize: Run, tas: str, named: str) -> None:
    assert named in refuse_optimize(["--tas", tas]).error


@pytest.mark.parametrize(
    ("flag", "value", "allowed"),
    [
        ("--temperatures", "0", "greater than 0"),
        ("--temperatures", "-1", "greater than 0"),
        ("--temperatures", "nan", "finite"),
        ("--temperatures", "inf", "finite"),
        ("--temperatures", "warm", "number"),
        ("--kd-weights", "1.1", "less than or equal to 1"),
        ("--kd-weights", "-0.1", "greater than or equal to 0"),
        ("--kd-weights", "nan", "finite"),
        ("--trials", "0", "greater than or equal to 1"),
        ("--trials", "-3", "greater than or equal to 1"),
        ("--trials", "2.5", "integer"),
        ("--trials", "many", "integer"),
        ("--epochs", "0", "greater than or equal to 1"),
        ("--epochs", "1.5", "integer"),
        ("--replicates", "0", "greater than or equal to 1"),
        ("--workers", "0", "greater than or equal to 1"),
        ("--gpus", "0,0", "named twice"),
        ("--gpus", "-1", "greater than or equal to 0"),
        ("--gpus", "all", "integer"),
        ("--workers-per-gpu", "0", "greater than or equal to 1"),
        ("--launcher", "dask", "'local' or 'ray'"),
        ("--gpus-per-worker", "0", "greater than 0"),
        ("--gpus-per-worker", "0.5", "only --launcher ray gives out GPUs"),
        ("--replicates", "two", "integer"),
        ("--max-replicates", "0", "greater than or equal to 1"),
        ("--finalists", "0", "greater than or equal to 1"),
        ("--finalists", "-1", "greater than or equal to 1"),
        ("--batch-size", "0", "greater than or equal to 2"),
        ("--batch-size", "8.5", "integer"),
        ("--max-tas", "-1", "greater than or equal to 0"),
        ("--learning-rate", "0", "greater than 0"),
        ("--schedule", "linear", "'cosine', 'step' or 'constant'"),
        ("--sampler", "grid", "'tpe', 'random', 'exhaustive', 'dp' or 'staged'"),
        ("--precision", "float16", "'float32' or 'bfloat16'"),
        ("--study-name", "", "empty"),
        ("--home", "", "empty"),
    ],
)
def test_a_setting_out_of_its_range_is_named_with_value_and_range(
    refuse_optimize: Run, flag: str, value: str, allowed: str
) -> None:
    answer = refuse_optimize([flag, value])
    assert answer.error.startswith(f"{flag}: got '{value}'")
    assert allowed in answer.error
    assert answer.hint.startswith(f"{flag}: ")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("flag", ["--gpus", "--workers-per-gpu"])
def test_gpus_on_a_machine_without_one(refuse_optimize: Run, flag: str) -> None:
    assert refuse_optimize([flag, "1"]).error.startswith(f"{flag} 1: this call computes on the CPU; torch sees 0")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_latency_on_a_device_that_is_not_there(refuse_optimize: Run) -> None:
    assert "--latency-device cuda is not there" in refuse_optimize(["--latency-device", "cuda"]).error


@pytest.mark.parametrize(
    ("dataset", "named"),
    [
        ("nonesuch.data:make", "there is no module 'nonesuch'"),
        ("json:loads", "the callable failed: TypeError"),
        ("math:pi", "it is a float, not a callable"),
        ("object:Bands", "handed over as Python objects"),
    ],
)
def test_data_that_a_callable_does_not_give(refuse_optimize: Run, dataset: str, named: str) -> None:
    assert named in refuse_optimize(["--dataset", dataset]).error


def test_the_launcher_without_ray_names_what_to_install(refuse_optimize: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    answer = refuse_optimize(["--launcher", "ray"])
    assert "`ray` is not installed" in answer.error
    assert "pip install 'tasearch[ray]'" in answer.hint


def test_a_ray_cluster_that_is_not_there(refuse_optimize: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    answer = refuse_optimize(["--launcher", "ray"])
    assert "no Ray cluster answers at 127.0.0.1:1" in answer.error
    assert "ray start --head" in answer.hint


@pytest.mark.parametrize("flags", [["--workers", "auto"], ["--gpus", "0"], ["--workers-per-gpu", "2"]], ids=str)
def test_what_ray_decides_is_refused_beside_it(refuse_optimize: Run, flags: list[str]) -> None:
    assert refuse_optimize(["--launcher", "ray", *flags]).error.startswith("--launcher: got 'ray'")


def test_a_batch_of_more_images_than_there_are_is_refused(refuse_optimize: Run) -> None:
    assert "there are 30 training images" in refuse_optimize(["--batch-size", "31"]).error


def test_one_bad_temperature_among_good_ones_is_picked_out(refuse_optimize: Run) -> None:
    assert "got '-2'" in refuse_optimize(["--temperatures", "4,-2,8"]).error


def test_more_finalists_than_paths(refuse_optimize: Run) -> None:
    answer = refuse_optimize(["--finalists", "2"])
    assert "--finalists 2: the search space has 1 paths" in answer.error
    assert "at most 1" in answer.hint


def test_fewer_replicates_at_most_than_at_first(refuse_optimize: Run) -> None:
    answer = refuse_optimize(["--replicates", "4", "--max-replicates", "3"])
    assert answer.error == "--max-replicates: got '3', less than --replicates 4"
    assert answer.hint.startswith("--max-replicates: Most replicates")


@pytest.mark.parametrize("missing", ["--teacher", "--student"])
def test_a_missing_model_is_asked_for(refuse: Run, missing: str) -> None:
    given = {"--teacher": "plain6", "--student": "plain2"}
    del given[missing]
    answer = refuse(["optimize", *(word for pair in given.items() for word in pair)])
    assert answer.error == f"{missing} is missing"
    assert f"e.g. {missing} resnet" in answer.hint


def test_an_unknown_flag_names_the_nearest(refuse_optimize: Run) -> None:
    answer = refuse_optimize(["--trails", "3"])
    assert "'--trails'" in answer.error
    assert "did you mean `--trials`?" in answer.hint


def test_an_unknown_command_names_the_nearest(refuse: Run) -> None:
    answer = refuse(["optimise"])
    assert "'optimise'" in answer.error
    assert "did you mean `optimize`?" in answer.hint


def test_a_flag_without_its_value_points_to_the_help_of_its_command(refuse: Run) -> None:
    answer = refuse(["status", "--home"])
    assert "--home" in answer.error
    assert "`tasearch status --help`" in answer.hint


def test_an_argument_too_many_is_named(refuse_optimize: Run) -> None:
    assert "(plain4)" in refuse_optimize(["plain4"]).error


@pytest.mark.parametrize(
    ("text", "named", "hinted"),
    [
        ("temprature = 4", "unknown key `temprature`", "did you mean `temperatures`?"),
        ("trials = ", "is not valid TOML", "key = value"),
        ("trials = 'many'", "got 'many'", "--trials: "),
        ("trials = true", "got True", "--trials: "),
        ("kd-weights = 2", "got 2", "--kd-weights: "),
        ("temperatures = [4, 'hot']", "got 'hot'", "--temperatures: "),
        ("[search]\ntrials = 3", "unknown key `search`", "known: teacher"),
    ],
)
def test_a_study_file_that_cannot_be_used(refuse: Run, here: Path, text: str, named: str, hinted: str) -> None:
    (here / "study.toml").write_text(text)
    answer = refuse(["optimize", "--teacher", "plain6", "--student", "plain2", "--study", "study.toml"])
    assert named in answer.error
    assert "study.toml" in answer.error
    assert hinted in answer.hint


def test_a_study_file_that_is_not_there(refuse_optimize: Run) -> None:
    assert "study file none.toml cannot be read: No such file" in refuse_optimize(["--study", "none.toml"]).error


def test_a_study_file_of_other_bytes(refuse_optimize: Run, here: Path) -> None:
    (here / "weights.bin").write_bytes(b"\xff\x00\xfe")
    assert "study file weights.bin is not valid TOML" in refuse_optimize(["--study", "weights.bin"]).error


def test_an_environment_variable_is_named(refuse: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASEARCH_TRIALS", "abc")
    answer = refuse(["optimize", "--teacher", "plain6", "--student", "plain2"])
    assert answer.error.startswith("TASEARCH_TRIALS: got 'abc'")


@pytest.mark.parametrize(
    ("device", "named"),
    [("cuda:9", "cuda:9 is not there"), ("gpu", "'gpu' is no device"), ("cpu:3", "'cpu:3'"), ("meta", "'meta'")],
)
def test_a_device_that_is_not_there(refuse_optimize: Run, device: str, named: str) -> None:
    assert named in refuse_optimize(["--device", device]).error


class TestLocations:
    def test_a_file_that_is_no_database_stays_as_it_is(self, refuse_optimize: Run, here: Path) -> None:
        (here / "notes.db").write_text("my notes")
        assert "is not a SQLite database" in refuse_optimize(["--storage", "sqlite:///notes.db"]).error

    def test_a_home_whose_database_is_none(self, refuse_optimize: Run, here: Path) -> None:
        (here / "home").mkdir()
        (here / "home" / "studies.db").write_text("my notes")
        assert "is not a SQLite database" in refuse_optimize(["--home", "home"]).error

    def test_a_database_that_is_damaged(self, refuse_optimize: Run, here: Path) -> None:
        (here / "broken.db").write_bytes(b"SQLite format 3\x00" + b"\x5a" * 5000)
        assert "broken.db failed: file is not a database" in refuse_optimize(["--storage", "sqlite:///broken.db"]).error

    @pytest.mark.parametrize(
        ("url", "named"),
        [
            ("studies.db", "`studies.db` is not a database URL"),
            ("sqlite://studies.db", "malformed database URL"),
            ("sqlite://", "in memory"),
            ("sqlite:///absent/studies.db", "absent does not exist"),
            ("mysql://ada:secret-word@host/db", "unknown driver `mysql`"),
            ("postgresql://ada:secret-word@host:port/db", "malformed database URL"),
        ],
    )
    def test_a_url_of_no_database(self, refuse_optimize: Run, url: str, named: str) -> None:
        answer = refuse_optimize(["--storage", url])
        assert named in answer.error
        assert "secret-word" not in answer.err

    def test_a_postgresql_that_does_not_answer_is_refused_without_its_password(self, refuse_optimize: Run) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        answer = refuse_optimize(["--storage", f"postgresql://ada:secret-word@127.0.0.1:{port}/db"])
        assert f"127.0.0.1:{port}" in answer.error
        assert "secret-word" not in answer.err

    @pytest.mark.parametrize("home", ["/proc/tasearch", "file/tasearch"])
    def test_a_home_that_cannot_be_written(self, refuse_optimize: Run, here: Path, home: str) -> None:
        (here / "file").write_text("no folder")
        answer = refuse_optimize(["--home", home])
        assert f"cannot write in the folder {here / home}" in answer.error
        assert "TASEARCH_HOME" in answer.hint

    @pytest.mark.parametrize("artifacts", ["nothing://bucket", "/proc/artifacts"])
    def test_artifacts_that_cannot_be_written(self, refuse_optimize: Run, artifacts: str) -> None:
        assert artifacts in refuse_optimize(["--artifacts", artifacts]).error

    @pytest.mark.parametrize("command", ["status", "studies", "report"])
    def test_reading_commands_make_no_database(self, refuse: Run, here: Path, command: str) -> None:
        answer = refuse([command])
        assert f"there is no database {here / 'tasearch-data' / 'studies.db'}" in answer.error

    def test_an_unknown_study_names_the_nearest(self, refuse: Run, study: str) -> None:
        answer = refuse(["status", study + "s"])
        assert f"no study named '{study}s'" in answer.error
        assert f"did you mean `{study}`?" in answer.hint


@pytest.fixture
def study(run: Run) -> str:
    """A study that has ended, in the current folder."""
    answer = run(["optimize", "--teacher", "plain4", "--student", "plain2", *SMALL, "--study-name", "small", "-q"])
    assert answer.code == 0, answer.err
    return "small"


def test_a_study_of_that_name_with_another_configuration_shows_the_difference(
    refuse: Run, here: Path, study: str
) -> None:
    database = here / "tasearch-data" / "studies.db"
    before = rows_of(database)
    flags = [*SMALL, "--study-name", study, "--seed", "7", "--epochs", "3"]
    answer = refuse(["optimize", "--teacher", "plain4", "--student", "plain2", *flags])
    assert "'small' exists with another configuration" in answer.error
    assert "epochs 1, now 3" in answer.error
    assert "seed 0, now 7" in answer.error
    assert "--study-name" in answer.hint
    assert rows_of(database) == before


def rows_of(database: Path) -> dict[str, list[Any]]:
    """Return every row of every table."""
    connection = sqlite3.connect(database)
    try:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables}
    finally:
        connection.close()


class TestData:
    def test_unknown_name(self, refuse_optimize: Run) -> None:
        answer = refuse_optimize(["--dataset", "cifar11"])
        assert "unknown dataset 'cifar11'" in answer.error
        assert "did you mean `cifar10`?" in answer.hint

    def test_a_folder_that_is_not_there(self, refuse_optimize: Run) -> None:
        assert "pets is not a folder" in refuse_optimize(["--dataset", "folder:pets"]).error

    @pytest.mark.parametrize("split", ["train", "test"])
    def test_a_missing_split(self, refuse_optimize: Run, here: Path, split: str) -> None:
        (make_image_folder(here / "pets", train=2, test=1) / split).rename(here / "elsewhere")
        answer = refuse_optimize(["--dataset", "folder:pets"])
        assert "pets has n" in answer.error
        assert f"folder {split}" in answer.error
        assert "train/<class>/" in answer.hint

    def test_an_empty_class_folder(self, refuse_optimize: Run, here: Path) -> None:
        (make_image_folder(here / "pets", train=2, test=1) / "train" / "void").mkdir()
        assert "pets/train/void" in refuse_optimize(["--dataset", "folder:pets"]).error

    def test_a_corrupt_image(self, refuse_optimize: Run, here: Path) -> None:
        victim = make_image_folder(here / "pets", train=3, test=1) / "train" / "middle" / "001.png"
        victim.write_bytes(victim.read_bytes()[:90])
        assert "pets/train/middle/001.png cannot be read" in refuse_optimize(["--dataset", "folder:pets"]).error

    def test_a_single_class(self, refuse_optimize: Run, here: Path) -> None:
        pets = make_image_folder(here / "pets", train=2, test=1)
        for split in ("train", "test"):
            for name in ("middle", "right"):
                (pets / split / name).rename(here / f"{split}-{name}")
        assert "1 class folders: at least 2" in refuse_optimize(["--dataset", "folder:pets"]).error

    def test_images_too_small_for_a_net(self, refuse: Run, here: Path) -> None:
        make_image_folder(here / "pets", train=4, test=1, size=8)
        flags = ["--dataset", "folder:pets", "--epochs", "1"]
        answer = refuse(["optimize", "--teacher", "plain10", "--student", "plain2", *flags])
        assert "plain10" in answer.error
        assert "8 x 8" in answer.error
        assert "--image-size 16" in answer.hint

    def test_a_refusal_after_decoding_leaves_no_decoded_copy(self, refuse: Run, here: Path) -> None:
        make_image_folder(here / "pets", train=4, test=1)
        flags = ["--dataset", "folder:pets", "--finalists", "9"]
        assert "--finalists 9" in refuse(["optimize", "--teacher", "plain6", "--student", "plain2", *flags]).error

    def test_data_that_cannot_be_downloaded(self, refuse: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def unreachable(*_arguments: object, **_keywords: object) -> None:
            raise URLError("no route to host")

        monkeypatch.setattr(urllib.request, "urlopen", unreachable)
        answer = refuse(["optimize", "--teacher", "resnet20", "--student", "resnet8", "--dataset", "cifar10"])
        assert "cifar10" in answer.error
        assert "no route to host" in answer.error
        assert "cifar-10-python.tar.gz" in answer.hint
        assert str(here / "tasearch-data" / "data" / "cifar10") in answer.hint

    @pytest.mark.parametrize(("limit", "bound"), [("9", "number of classes, 10"), ("8001", "training images, 8000")])
    def test_a_limit_outside_the_data(self, refuse_optimize: Run, limit: str, bound: str) -> None:
        answer = refuse_optimize(["--limit-train", limit])
        assert f"limit_train {limit}" in answer.error
        assert bound in answer.error

    def test_mirrored_digits(self, refuse_optimize: Run) -> None:
        answer = refuse_optimize(["--augment", "shift+flip"])
        assert "'shift+flip' is not possible for cluttered-digits" in answer.error
        assert "--augment shift or none" in answer.hint

    def test_an_image_size_that_cannot_be_rendered(self, refuse_optimize: Run) -> None:
        assert "8 x 8" in refuse_optimize(["--image-size", "8"]).error
