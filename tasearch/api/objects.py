"""Functions that return networks, made known to this process."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tasearch.models import callables
from tasearch.models.names import Kind

if TYPE_CHECKING:
    from torch import nn


def register_model(name: str, build: Callable[..., nn.Module]) -> str:
    """Make a function `net(num_classes)` known in this process as the model `object:NAME`, and return that.

    A study that was given functions knows them by their names: whoever exports from it or reproduces its trials in
    another process registers them there. `in_channels` and `image_size` are passed too where its signature names them.
    Raises ModelError where another function has that name, or it is no function.
    """
    return callables.register_model(name, build)


def model_name(build: Callable[..., nn.Module]) -> str:
    """Return the name under which a function is a model in this process, `object:NAME`, registering it.

    Its own name, or, where another function has that already (lambdas, partial functions), followed by a number.
    Raises ModelError for a net in place of a function.
    """
    own = re.sub(r"[^\w.-]", "", _own_name(build).replace("<locals>.", "")) or "net"
    names = (own if number == 1 else f"{own}-{number}" for number in itertools.count(1))
    return callables.register_model(next(n for n in names if callables.is_free(f"{Kind.OBJECT}:{n}", build)), build)


def _own_name(build: Any) -> str:
    if isinstance(build, functools.partial):
        return _own_name(build.func)
    return str(getattr(build, "__qualname__", type(build).__qualname__))
