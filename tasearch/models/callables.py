"""Nets of the user: what a function returns, found by its dotted path or registered in this process."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import nn

from tasearch.domain.dotted_path import NotImportedError, imported, said
from tasearch.domain.errors import ModelError, nearest
from tasearch.domain.spec import ModelSpec
from tasearch.models.ambient import seeded
from tasearch.models.identity import build_hash
from tasearch.models.names import Kind, kind_of
from tasearch.models.ownership import namespace_of
from tasearch.models.switches import switches_kept

Build = Callable[..., nn.Module]
"""Takes `num_classes`, and `in_channels` or `image_size` where its signature names them."""

_REGISTERED: dict[str, Build] = {}


def register_model(name: str, build: Build) -> str:
    """Make what `build` returns known in this process and return its name as a model, `object:<name>`.

    `build` is called with num_classes, and with in_channels and image_size where its signature names them. Another
    function under a name that is taken is refused with ModelError. One that was defined again takes the place of the
    first: whether it still builds the net that a study knows is seen by the net's identity.
    """
    full = f"{Kind.OBJECT}:{name}"
    kind_of(full)
    if isinstance(build, nn.Module) or not callable(build):
        raise ModelError(
            f"{full} is a {type(build).__name__}, not a function that returns a net",
            hint="every replicate starts from a net of its own: give `def make_net(num_classes): ...`, or the class",
        )
    if not is_free(full, build):
        raise ModelError(f"another function is registered as {full}", hint="choose another name")
    _REGISTERED[full] = build
    return full


def know(builds: Mapping[str, Build]) -> None:
    """Make functions known under names `object:NAME` that they were given before."""
    _REGISTERED.update(builds)


def is_free(full: str, build: Build) -> bool:
    """Whether nothing, or the same function, is registered under a name `object:NAME`."""
    known = _REGISTERED.get(full, build)
    return _is_replaced(known, build) or is_same(known, build)


def is_same(one: Build, other: Build) -> bool:
    """Whether two functions are one, or were defined alike and lead to the same code and values."""
    return one is other or one == other or build_hash(one) == build_hash(other)


def _is_replaced(known: Any, build: Any) -> bool:
    """Whether a cell or a module was run again and now has another function in the place of a known one."""
    place = [(getattr(one, "__module__", None), getattr(one, "__qualname__", "<")) for one in (known, build)]
    if place[0] != place[1] or "<" in place[0][1]:
        return False
    namespace = getattr(build, "__globals__", None) or namespace_of(place[1][0])
    return namespace.get(place[1][1]) is build


def find_callable(name: str) -> Build:
    """Return the function of a `module:function` or `object:NAME`; the current directory is on the path.

    Raises ModelError where there is none.
    """
    if kind_of(name) is Kind.OBJECT:
        if name not in _REGISTERED:
            known = list(_REGISTERED)
            raise ModelError(
                f"no function is registered as {name!r} in this process",
                hint=f"tasearch.register_model({name.partition(':')[2]!r}, function) makes it known; "
                + (nearest(name, known) if known else "package.module:function is found by every process"),
            )
        return _REGISTERED[name]
    try:
        with _first_import(name):
            found: Any = imported(name)
    except NotImportedError as error:
        raise ModelError(error.message, hint=error.hint) from error
    if not callable(found):
        raise ModelError(
            f"{name} is a {type(found).__name__}, not a function that takes num_classes and returns a net",
            hint="write `def make_net(num_classes): ...`",
        )
    build: Build = found
    return build


@contextlib.contextmanager
def _first_import(name: str) -> Iterator[None]:
    """Put back what a module draws, seeds or sets in torch when it is imported for the first time."""
    if name.partition(":")[0] in sys.modules:
        yield
        return
    with switches_kept(name), seeded(0):
        yield


def call(build: Build, spec: ModelSpec) -> nn.Module:
    """Return the net of a function. Raises ModelError where it raises, or returns something else."""
    arguments = arguments_of(build, spec)
    try:
        # stdout is for results.
        with contextlib.redirect_stdout(sys.stderr):
            net = build(**arguments)
    except (Exception, SystemExit) as error:
        shown = ", ".join(f"{name}={value}" for name, value in arguments.items())
        raise ModelError(
            f"{spec.name}({shown}) raised {said(error)}", hint="it must return a net for these numbers"
        ) from error
    if not isinstance(net, nn.Module):
        raise ModelError(
            f"{spec.name} returned a {type(net).__name__}, not a torch.nn.Module",
            hint="the function must build and return one net",
        )
    return net


def arguments_of(build: Build, spec: ModelSpec) -> dict[str, Any]:
    """Return what a function is called with. Raises ModelError where it cannot be told the number of classes."""
    offered = {"num_classes": spec.num_classes, "in_channels": spec.in_channels, "image_size": spec.image_size}
    try:
        parameters = inspect.signature(build).parameters
    except (TypeError, ValueError):
        return {"num_classes": spec.num_classes}
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    arguments = {
        name: value for name, value in offered.items() if name in parameters and parameters[name].kind in by_name
    }
    if takes_any:
        arguments["num_classes"] = spec.num_classes
    if "num_classes" not in arguments:
        raise ModelError(
            f"{spec.name} does not take num_classes: its signature is {inspect.signature(build)}",
            hint="write `def make_net(num_classes): ...`; in_channels and image_size are given where it names them",
        )
    needed = [
        name
        for name, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty and parameter.kind in by_name and name not in arguments
    ]
    if needed:
        raise ModelError(
            f"{spec.name} needs {', '.join(needed)} as well, which nobody can give it",
            hint="give these parameters defaults; known are num_classes, in_channels and image_size",
        )
    return arguments
