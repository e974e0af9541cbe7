"""Functions that return networks, made known to this process."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from tasearch.models.callables import register_model

if TYPE_CHECKING:
    from torch import nn


def model_name(build: Callable[..., nn.Module]) -> str:
    """Return the name under which a function `net(num_classes)` is a model in this process, `object:NAME`.

    Raises ModelError where another function has that name.
    """
    own = getattr(build, "__qualname__", type(build).__qualname__)
    return register_model(re.sub(r"[^\w.-]", "", own.replace("<locals>.", "")), build)
