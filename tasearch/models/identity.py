"""What a net that is not ours is, as one hash: two different nets must never share a stage."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

import torch
from torch import Tensor, nn

from tasearch.models.ambient import seeded
from tasearch.models.description import attribute_of, sha256, tensor_text, without_addresses
from tasearch.models.files_read import FilesRead
from tasearch.models.operations import Operations, common_operations
from tasearch.models.ownership import Ownership, namespace_of
from tasearch.models.reached_code import Walk
from tasearch.models.source_files import Namespace, folders_of, module_texts

_NET = "(net)"
"""The net itself among the names of parts: no module can be called so."""
Build = Callable[..., nn.Module]


@dataclass(frozen=True, kw_only=True, slots=True)
class NetIdentity:
    """What tells one net of the user's from another."""

    code: str
    """SHA-256 over all parts."""
    parts: Mapping[str, str]
    """SHA-256 of each part, by a name that says to a user what it is: a file, a function, a value, a layer."""


def net_hash(net: nn.Module) -> str:
    """Return the SHA-256 over the architecture of a library's net: names, types and shapes, layers as they print."""
    # Each line ended: studies that are stored have this hash.
    return sha256("".join(f"{line}\n" for line in [*_shapes(net), without_addresses(repr(net))]))


def build_hash(build: Build) -> str:
    """Return a SHA-256 over what a build function reaches as it stands in this process; cheap, and no identity.

    It changes where a function, a class or a value that the function leads to is replaced; what only shows in the net
    that it builds is not seen.
    """
    inner = _innermost(build)
    walk = Walk(Ownership((str(attribute_of(inner, "__module__", "")),)), quick=True)
    walk.visit("build", build)
    walk.visit_global_hooks()
    return walk.digest()


def user_net_identity(
    net: nn.Module, construct: Callable[[int], nn.Module], images: Tensor, build: Build
) -> NetIdentity:
    """Return what a net of the user's is: what its code reaches, what it holds, and the operations that it runs.

    `net`: of random state 0; `construct` returns the net of a random state. Values of weights, buffers, attributes and
    globals that are the same for two random states belong to the identity (constants, weights that the code loads); all
    others follow from the seed, or count how often nets were built. Beside that: the text of the user's files that have
    a part in it, what is reached at run time (`models.reached_code`), and the operations that torch runs
    (`models.operations`).
    """
    # Nothing of this is recorded: what code computes or reads once in a process is there from now on, so that a second
    # identity in the process finds what the first one found.
    ran: set[CodeType] = set()
    with seeded(0), _noted(ran):
        first = Operations(lambda: construct(0))
        first.run(images)
        first.run(images[:1])
    names = (attribute_of(_innermost(build), "__module__"), *(type(layer).__module__ for layer in net.modules()))
    ownership = Ownership(tuple(str(name) for name in names))
    modules = {str(name): namespace_of(str(name)) for name in names}
    walked = _walked(net, build, ownership, modules, ran)
    files = FilesRead()
    with files.collected():
        usual = Operations(lambda: construct(0))
        with seeded(0):
            usual.run(images)
        other = Operations(lambda: construct(1))
    walks = [walked, _walked(other.net, build, ownership, modules, ran)]
    found = _common_parts(*walks)
    found |= {f"shape of {line.partition(' ')[0]}": line for line in _shapes(net)}
    tensors, drawn = _tensors(net), _tensors(other.net)
    fixed = {name: tensor for name, tensor in tensors.items() if same_bits(tensor, drawn.get(name))}
    found |= {f"values of {name}": tensor_text(tensor) for name, tensor in fixed.items()}
    with seeded(0), files.collected():
        other.run(images)
    found |= files.parts(folders_of(modules.values()))
    found |= {f"file of {name}": sha256(text) for name, text in module_texts(modules, ownership).items() if text}
    found |= {f"operations of {phase}": text for phase, text in common_operations(usual.lines, other.lines).items()}
    return NetIdentity(code=sha256("\n".join(f"{name} = {text}" for name, text in sorted(found.items()))), parts=found)


@contextlib.contextmanager
def _noted(ran: set[CodeType]) -> Iterator[None]:
    """Note the code that this thread runs: a function that is only reached, such as a setter, changes nothing."""
    before = sys.getprofile()

    def hear(frame: FrameType, event: str, argument: object) -> None:
        del argument
        if event == "call":
            ran.add(frame.f_code)

    sys.setprofile(hear)
    try:
        yield
    finally:
        sys.setprofile(before)


def _walked(
    net: nn.Module, build: Build, ownership: Ownership, modules: dict[str, Namespace], ran: set[CodeType]
) -> dict[str, str]:
    """Return the parts that a walk finds, and add the modules that turned up."""
    changing: frozenset[str] = frozenset()
    while True:
        folders = folders_of(modules.values())
        walk = Walk(ownership, folders, changing=changing, ran=ran)
        walk.know({f"tensor {name}": tensor for name, tensor in (*net.named_parameters(), *net.named_buffers())})
        walk.visit("build", build)
        walk.visit(_NET, net)
        walk.visit_global_hooks()
        modules |= walk.modules
        stored = changing | walk.stored
        if folders_of(modules.values()) == folders and stored == changing:
            return walk.parts
        changing = stored


def _common_parts(one: dict[str, str], other: dict[str, str]) -> dict[str, str]:
    """Return the parts that two walks have in common; what changed between them, or follows from the seed, is left out.

    Of a container that grew, such as a history, what it held before is left out as well.
    """
    changed = {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
    roots = tuple(f"{name}[" for name in changed if name in one and name in other and not name.startswith(_NET))
    return {name: text for name, text in one.items() if name not in changed and not name.startswith(roots)}


def _shapes(net: nn.Module) -> list[str]:
    return [f"{name} {tensor.dtype} {tuple(tensor.shape)}" for name, tensor in sorted(net.state_dict().items())]


def _tensors(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach() for name, tensor in (*net.named_parameters(), *net.named_buffers())}


def same_bits(one: Tensor, other: Tensor | None) -> bool:
    """Whether two tensors hold the same bits: comparing is quicker than hashing what follows from the seed."""
    if other is None or one.dtype != other.dtype or one.shape != other.shape:
        return False
    return torch.equal(*(tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (one, other)))


def _innermost(build: Any) -> Any:
    while isinstance(build, functools.partial):
        build = build.func
    try:
        return inspect.unwrap(build)
    except Exception:  # an object that can be called may look its attributes up in its own way
        return build
