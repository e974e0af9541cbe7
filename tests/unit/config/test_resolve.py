from __future__ import annotations

from pathlib import Path

import pytest

from tasearch.config.resolve import flag_of, read_study_file, resolve
from tasearch.config.settings import FREE, Settings
from tasearch.domain.errors import ConfigError

BOTH = {"teacher": "plain10", "student": "plain2"}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_fill_what_nobody_says() -> None:
    settings = resolve(BOTH, {}, None)
    assert (settings.trials, settings.temperatures, settings.kd_weights) == (40, (2, 4, 8, 16), (0.5, 0.9, 1.0))


def test_a_study_file_beats_a_default(tmp_path: Path) -> None:
    assert resolve(BOTH, {}, write(tmp_path / "s.toml", "trials = 7")).trials == 7


def test_a_key_in_both_spellings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="twice"):
        read_study_file(write(tmp_path / "s.toml", "max-tas = 1\nmax_tas = 2"))


def test_the_environment_beats_a_study_file(tmp_path: Path) -> None:
    assert resolve(BOTH, {"TASEARCH_TRIALS": "8"}, write(tmp_path / "s.toml", "trials = 7")).trials == 8


def test_a_flag_beats_the_environment(tmp_path: Path) -> None:
    assert resolve({**BOTH, "trials": "9"}, {"TASEARCH_TRIALS": "8"}, None).trials == 9


def test_optunas_own_variable_names_the_database_unless_ours_does() -> None:
    theirs = {"OPTUNA_STORAGE": "sqlite:///a.db"}
    assert resolve(BOTH, theirs, None).storage == "sqlite:///a.db"
    assert resolve(BOTH, {**theirs, "TASEARCH_STORAGE": "sqlite:///b.db"}, None).storage == "sqlite:///b.db"


def test_keys_may_be_spelled_as_the_flags(tmp_path: Path) -> None:
    assert read_study_file(write(tmp_path / "s.toml", "max-tas = 1\nkd_weights = [0.5]")) == {
        "max_tas": 1,
        "kd_weights": [0.5],
    }


def test_lists_are_comma_separated_in_flags() -> None:
    settings = resolve({**BOTH, "temperatures": "1, 2.5", "tas": "plain4,plain6"}, {}, None)
    assert (settings.temperatures, settings.tas) == ((1.0, 2.5), ("plain4", "plain6"))


def test_an_unknown_key_names_the_nearest_known_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key `temprature`") as caught:
        read_study_file(write(tmp_path / "s.toml", "temprature = [4]"))
    assert "did you mean `temperatures`?" in caught.value.hint


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"temperatures": "4,1001"}, r"--temperatures: got '1001', input should be less than or equal to 1000"),
        ({"ta_temperature": "1e6"}, r"--ta-temperature: got '1e6', input should be less than or equal to 1000"),
        ({"temperatures": "0,4"}, r"--temperatures: got '0', input should be greater than 0"),
        ({"kd_weights": "1.5"}, r"--kd-weights: got '1.5', input should be less than or equal to 1"),
        ({"trials": "0"}, r"--trials: got '0', input should be greater than or equal to 1"),
        ({"epochs": "-3"}, r"--epochs: got '-3'"),
        ({"learning_rate": "nan"}, r"--learning-rate: got 'nan'"),
        (
            {"sampler": "best"},
            r"--sampler: got 'best', input should be 'tpe', 'random', 'exhaustive', 'dp' or 'staged'",
        ),
    ],
    ids=str,
)
def test_a_value_out_of_range_is_named_with_its_flag(flags: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve({**BOTH, **flags}, {}, None)


def test_an_error_names_where_the_value_came_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^TASEARCH_TRIALS: got 'abc'"):
        resolve(BOTH, {"TASEARCH_TRIALS": "abc"}, None)
    path = write(tmp_path / "s.toml", "trials = 0")
    with pytest.raises(ConfigError, match=r"^trials in .*s\.toml: got 0"):
        resolve(BOTH, {}, path)


def test_a_missing_teacher_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="--teacher is missing"):
        resolve({"student": "plain2"}, {}, None)


@pytest.mark.parametrize("text", ["trials = ", "= 3", "[study\ntrials = 1"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="is not valid TOML"):
        read_study_file(write(tmp_path / "s.toml", text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_study_file(tmp_path / "none.toml")


def test_flags_use_dashes() -> None:
    assert flag_of("kd_weights") == "--kd-weights"


def test_every_free_setting_exists() -> None:
    assert set(Settings.model_fields) >= FREE


def test_an_unknown_variable_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown environment variable TASEARCH_EPOCH") as caught:
        resolve(BOTH, {"TASEARCH_EPOCH": "3"}, None)
    assert "did you mean `TASEARCH_EPOCHS`?" in caught.value.hint


def test_a_single_number_is_a_list_of_one(tmp_path: Path) -> None:
    assert resolve(BOTH, {}, write(tmp_path / "s.toml", "temperatures = 4")).temperatures == (4.0,)
