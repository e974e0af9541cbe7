"""Pairs of nets: whether they are the same net, each as one entry.

To add a pair, append an entry to one of the lists in the modules beside this one: a text that defines
`make(num_classes)`, what is put in place of what in the other net of the pair, and whether that leaves the same net.
Every net is built in two processes with two values of `PYTHONHASHSEED`, in two folders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

FILE, SCRIPT, CELL = "file", "script", "cell"
"""Where the text of a net is: in a module, in a script that is `__main__`, in cells of IPython (parted by `# %%`)."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One net of a pair."""

    kind: str
    text: str
    files: Mapping[str, str] = field(default_factory=dict)
    """Texts beside it, by name."""
    environment: Mapping[str, str] = field(default_factory=dict)
    build: str = "make"

    def as_json(self) -> dict[str, Any]:
        """Return the net as a process can be told of it."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two nets, and whether they are the same."""

    name: str
    one: Side
    other: Side
    is_same: bool


def pair(
    name: str,
    text: str,
    *changes: tuple[str, str],
    kinds: tuple[str, ...] = (FILE, CELL),
    files: Mapping[str, str] | None = None,
    environments: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
    build: str = "make",
    is_same: bool = False,
) -> list[Pair]:
    """Return a pair for each kind; `changes`: what is replaced by what, in the text and in the files beside it."""
    found = []
    for kind in kinds:
        one = Side(kind=kind, text=HEAD + text, files=files or {}, environment=environments[0], build=build)
        texts = {"": one.text, **one.files}
        for old, new in changes:
            assert any(old in content for content in texts.values()), (name, old)
            texts = {key: content.replace(old, new) for key, content in texts.items()}
        other = replace(one, text=texts.pop(""), files=texts, environment=environments[1])
        found.append(Pair(name=f"{name} ({kind})", one=one, other=other, is_same=is_same))
    return found


HEAD = """
import functools, importlib, json, math, os, sys, types
from pathlib import Path
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

class Base(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.head = nn.Linear(192, num_classes)
    def features(self, x):
        return self.head(x.flatten(1))
"""
NET = """
# %%
class Net(Base):
    def forward(self, x):
        return {}
# %%
def make(num_classes):
    return Net(num_classes)
"""


def net(result: str, before: str = "") -> str:
    """Return the text of a net whose forward gives `result`, after what comes before its class."""
    return f"# %%\n{before}\n{NET.format(result)}"


HELPER = {
    "net_helper.py": """\
import torch
K = 2.0
UNUSED = 1
def act(x):
    return x * K
class Act:
    def __call__(self, x):
        return x * K
"""
}
CHANGED = ("K = 2.0", "K = 3.0")
