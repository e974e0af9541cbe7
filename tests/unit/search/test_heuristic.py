from __future__ import annotations

import pytest

from tasearch.search.heuristic import midpoint


def test_it_names_the_ta_nearest_the_mean() -> None:
    # Fig. 4 of the paper, plain CNNs on CIFAR-100: 41.09, 50.94, 57.13, 56.75, teacher 56.19 from labels.
    found = midpoint(0.5619, 0.4109, {"plain8": 0.5675, "plain6": 0.5713, "plain4": 0.5094})
    assert found.ta == "plain4"
    assert found.target == pytest.approx(0.4864)


def test_no_candidates_is_an_error() -> None:
    with pytest.raises(ValueError, match="no candidate"):
        midpoint(0.9, 0.5, {})
