from __future__ import annotations

import pytest

from tasearch.config.normalisation import parse_normalisation


def test_means_and_standard_deviations_are_read() -> None:
    assert parse_normalisation("0.5, 0.4/0.25,0.2") == ((0.5, 0.4), (0.25, 0.2))


def test_imagenet_is_a_name_for_its_numbers() -> None:
    assert parse_normalisation("imagenet") == parse_normalisation("0.485,0.456,0.406/0.229,0.224,0.225")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.5", "one mean and one standard deviation"),
        ("0.5,0.4/0.2", "one mean and one standard deviation"),
        ("a/b", "one mean and one standard deviation"),
        ("0.5/0", "above 0"),
        ("nan/0.2", "finite"),
        ("124/58", r"units of \[0, 1\]"),
    ],
)
def test_anything_else_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_normalisation(text)
