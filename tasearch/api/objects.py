"""Functions that return networks, made known to this process."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any

from tasearch.domain.errors import ModelError


def register_model(build: Callable[..., Any]) -> str:
    """Return the name under which a function `net(num_classes)` is a model in this process.

    Raises ModelError where another function has that name.
    """
    name = re.sub(r"[^\w.-]", "", getattr(build, "__qualname__", type(build).__qualname__).replace("<locals>.", ""))
    try:
        registry = importlib.import_module("tasearch.models.callables")
    except ModuleNotFoundError:
        raise ModelError(f"{name}: models cannot be functions here", hint="name a model") from None
    return str(registry.register_model(name, build))
