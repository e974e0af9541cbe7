"""What is reachable from a value, as text."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tasearch.models.ownership import Ownership
from tasearch.models.reached_code import Walk


def described(value: object) -> str:
    walk = Walk(Ownership())
    walk.visit("it", value)
    return "\n".join(f"{name} = {text}" for name, text in sorted(walk.parts.items()))


@dataclass
class Settings:
    width: int
    parts: list[int]


def scaled(factor: float) -> Any:
    return lambda x: x * factor


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        ({"a": 1}, {"a": 2}),
        (Settings(1, [2]), Settings(1, [3])),
        (torch.zeros(2), torch.ones(2)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
        (np.zeros(2), np.ones(2)),
        (F.relu, F.gelu),
        (torch.relu, torch.tanh),
        (scaled(1.0), scaled(2.0)),
        ({1, 2}, {1, 3}),
        (lambda x: x, lambda x: -x),
        (Settings, threading.Thread),
    ],
)
def test_different_values_have_different_texts(one: object, other: object) -> None:
    assert described(one) != described(other)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Settings(1, [2]),
        lambda: {"x": [torch.arange(3.0), {"b", "a"}]},
        lambda: scaled(2.0),
        lambda: object(),
        lambda: [threading.Lock(), logging.getLogger("nets")],
    ],
)
def test_equal_values_have_equal_texts_wherever_they_lie(make: Any) -> None:
    first, second = make(), make()
    assert described(first) == described(second)
    assert " at 0x" not in described(first)


class Linked:
    """An object that knows its neighbours, as parts of a design do."""

    def __init__(self) -> None:
        self.neighbours: list[Linked] = []


def test_objects_that_all_know_each_other_are_described_once_each() -> None:
    parts = [Linked() for _ in range(30)]
    for part in parts:
        part.neighbours = parts
    assert len(described(parts)) < 1_000_000


def test_what_holds_itself_is_described() -> None:
    held: list[Any] = []
    held.append(held)
    assert described(held) == "it = builtins.list 1\nit[0] = is it"
