from __future__ import annotations

import pytest

from tasearch.training.schedule import learning_rate


def test_warm_up_rises_to_the_peak_over_the_first_twentieth() -> None:
    rates = [learning_rate(step, 1000, peak=0.1, schedule="constant") for step in range(60)]
    assert rates[0] == pytest.approx(0.1 / 51)
    assert rates[49] < 0.1
    assert rates[50] == 0.1


def test_cosine_falls_from_the_peak_to_almost_nothing() -> None:
    assert learning_rate(50, 1000, peak=0.1, schedule="cosine") == pytest.approx(0.1)
    assert learning_rate(525, 1000, peak=0.1, schedule="cosine") == pytest.approx(0.05)
    assert learning_rate(999, 1000, peak=0.1, schedule="cosine") < 1e-6


@pytest.mark.parametrize(("step", "rate"), [(499, 0.1), (500, 0.01), (749, 0.01), (750, 0.001), (999, 0.001)])
def test_step_divides_by_ten_at_half_and_three_quarters(step: int, rate: float) -> None:
    assert learning_rate(step, 1000, peak=0.1, schedule="step") == pytest.approx(rate)


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="cosine, step, constant"):
        learning_rate(0, 10, peak=0.1, schedule="linear")


def test_a_single_step_has_a_rate_above_zero() -> None:
    assert learning_rate(0, 1, peak=0.1, schedule="cosine") == 0.1


def test_without_warm_up_the_first_step_has_the_peak() -> None:
    assert learning_rate(0, 1000, peak=0.1, schedule="constant", warmup_fraction=0.0) == 0.1


@pytest.mark.parametrize(("epoch", "rate"), [(79, 0.1), (80, 0.01), (119, 0.01), (120, 0.001)])
def test_milestones_fall_on_whole_epochs(epoch: int, rate: float) -> None:
    step, total = epoch * 391, 150 * 391
    found = learning_rate(step, total, peak=0.1, schedule="step", milestones=(80 / 150, 120 / 150), warmup_fraction=0.0)
    assert found == pytest.approx(rate)
