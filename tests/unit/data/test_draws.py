"""The stream is fixed: the data of all studies hang on it."""

from __future__ import annotations

import numpy as np

from tasearch.data.draws import Draws


def test_stream_is_pinned() -> None:
    assert Draws("test").integers(0, 99, (6,)).tolist() == [10, 29, 54, 11, 76, 54]


def test_purposes_have_different_streams() -> None:
    assert Draws("a").integers(0, 999, (8,)).tolist() != Draws("b").integers(0, 999, (8,)).tolist()


def test_integers_cover_both_ends() -> None:
    assert set(Draws("ends").integers(-2, 1, (200,)).tolist()) == {-2, -1, 0, 1}


def test_octets_cover_a_byte() -> None:
    octets = Draws("octets").octets((101, 99))
    assert octets.dtype == np.uint8
    assert (octets.min(), octets.max()) == (0, 255)


def test_permutation_holds_every_number_once() -> None:
    order = Draws("order").permutation(50).tolist()
    assert sorted(order) == list(range(50))
    assert order != list(range(50))
