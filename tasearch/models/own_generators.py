"""Random generators that the layers of a net hold themselves, which nobody seeds before a step."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

_DEEP = 4
"""How far containers within containers are looked through."""


def generator_states(net: nn.Module) -> dict[str, bytes]:
    """Return the state of every generator among the attributes of the net's layers, by the attribute's name.

    Generators of torch, NumPy and Python are found in attributes and in lists, tuples, sets and dicts there.
    """
    found: dict[str, bytes] = {}
    for layer_name, layer in net.named_modules():
        for key, value in vars(layer).items():
            for name, generator in _generators(f"{layer_name}.{key}".lstrip("."), value, _DEEP):
                state = _state(generator)
                if state is not None:
                    found[name] = state
    return found


def _generators(name: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, torch.Generator | random.Random | np.random.Generator | np.random.RandomState):
        yield name, value
    elif depth and isinstance(value, Mapping):
        for key, part in list(value.items()):
            yield from _generators(f"{name}[{key!r}]", part, depth - 1)
    elif depth and isinstance(value, list | tuple | set | frozenset):
        for number, part in enumerate(value):
            yield from _generators(f"{name}[{number}]", part, depth - 1)


def _state(generator: Any) -> bytes | None:
    try:
        if isinstance(generator, torch.Generator):
            return bytes(generator.get_state().tolist())
        if isinstance(generator, random.Random):
            return pickle.dumps(generator.getstate())
        if isinstance(generator, np.random.RandomState):
            return pickle.dumps(generator.get_state())
        return pickle.dumps(generator.bit_generator.state)
    except NotImplementedError:  # random.SystemRandom has no state
        return None
