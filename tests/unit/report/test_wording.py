from __future__ import annotations

import pytest

from tasearch.domain.result import Interval
from tasearch.report import wording


def test_a_fraction_is_printed_as_percent_with_one_decimal() -> None:
    assert wording.percent(0.70649) == "70.6%"


def test_a_missing_accuracy_is_a_dash() -> None:
    assert wording.percent(None) == "–"


@pytest.mark.parametrize(("difference", "shown"), [(0.0091, "+0.9"), (-0.012, "-1.2"), (-0.0001, "+0.0")])
def test_points_are_signed_and_never_minus_zero(difference: float, shown: str) -> None:
    assert wording.points(difference) == shown


def test_an_interval_shows_mean_and_bounds() -> None:
    assert wording.interval(Interval(mean=0.009, low=0.004, high=0.014, n=5)) == "+0.9 [+0.4, +1.4]"


def test_one_replicate_has_no_interval() -> None:
    assert wording.interval(Interval(mean=0.009, low=None, high=None, n=1)) == "+0.9 [no interval]"


def test_mean_without_std_is_the_mean() -> None:
    assert (wording.mean_std(0.7, None), wording.mean_std(0.7, 0.004)) == ("70.0%", "70.0 ± 0.4%")


def test_equal_settings_are_shown_once_and_unequal_ones_in_path_order() -> None:
    assert (wording.settings((4.0, 4.0)), wording.settings((8.0, 4.0))) == ("4", "8 / 4")


@pytest.mark.parametrize(
    ("number", "shown"), [(872, "872"), (37_338, "37.3k"), (2_487_850, "2.49M"), (3_000_000_000, "3G")]
)
def test_counts_are_shortened(number: int, shown: str) -> None:
    assert wording.short_count(number) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(41.7, "42 s"), (723.0, "12 min 3 s"), (11_100.0, "3 h 5 min")])
def test_durations_use_the_units_people_say(seconds: float, shown: str) -> None:
    assert wording.duration(seconds) == shown


def test_control_characters_never_reach_a_terminal() -> None:
    assert wording.printable("a\x1b[2Jb\u202ec") == "a\ufffd[2Jb\ufffdc"


def test_nouns_follow_their_number() -> None:
    assert (wording.plural(1, "TA"), wording.plural(3, "TA")) == ("1 TA", "3 TAs")


def test_a_mean_with_its_interval_shows_half_of_it() -> None:
    assert wording.plus_minus(Interval(mean=0.706, low=0.702, high=0.710, n=5)) == "70.6 ± 0.4%"
    assert wording.plus_minus(Interval(mean=0.706, low=None, high=None, n=1)) == "70.6%"
    assert wording.plus_minus(None) == "–"


def test_an_interval_of_accuracies_is_in_percent() -> None:
    assert wording.percents(0.702, 0.71) == "95% interval [70.2%, 71.0%]"
    assert wording.percents(None, None) == "no interval"


def test_numbers_of_a_column_have_three_digits_and_seconds_one_decimal() -> None:
    assert [wording.number(value) for value in (0.5, 16.0, 1234.5, None)] == ["0.5", "16", "1,234", "–"]
    assert [wording.seconds(value) for value in (0.776, 40.0, 1234.56, None)] == ["0.8", "40.0", "1,234.6", "–"]
