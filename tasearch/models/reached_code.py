"""What a net reaches at run time: its functions, classes, hooks and closures, and the values that their code names."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as module_of_torch

from tasearch.models.code_text import code_text, compiled_text
from tasearch.models.description import plain_text, sha256, type_name
from tasearch.models.named_code import environment_variables, named_values
from tasearch.models.ownership import MAIN, Ownership, namespace_of
from tasearch.models.stores import ANY_CLASS, stored_paths
from tasearch.models.value_parts import (
    class_parts,
    is_container,
    is_opaque,
    layer_parts,
    object_parts,
    object_text,
    patched_methods,
    tensor_hooks,
)

_IN_PACKAGES = 3
"""How far the walk goes inside objects of packages, which may hold anything, until it meets something of the user's."""
_LONG = 64
"""Plain values in one container that are a part each; of more only a hash is kept."""
GLOBAL_HOOKS = (
    *("_global_forward_hooks", "_global_forward_pre_hooks", "_global_backward_hooks", "_global_backward_pre_hooks"),
    *("_global_parameter_registration_hooks", "_global_buffer_registration_hooks"),
    "_global_module_registration_hooks",
)
"""Where torch keeps the hooks that it calls for the modules of every net."""


class Walk:
    """Visits what is reachable from a value, each object once, and describes every part under a name.

    Names and texts are the same in every process and folder; sets and dicts have no order here. What changes the order
    in which a net computes shows in the operations that it runs (`models.operations`).
    """

    def __init__(
        self,
        ownership: Ownership,
        folders: tuple[str, ...] = (),
        *,
        quick: bool = False,
        changing: frozenset[str] = frozenset(),
        ran: Collection[CodeType] = (),
    ) -> None:
        """Take whose code counts and which folders have no say.

        `quick`: describe functions by their code objects alone, without reading sources; the texts then depend on the
        version of Python.

        `changing`: names of values that code stores to when it runs; of these only the type counts. `ran`: the code
        that did run, whose stores are collected in `stored`.
        """
        self.stored: set[str] = set()
        """Where the code that turned up stores to (`models.stores`)."""
        self._changing, self._ran = changing, ran
        self.parts: dict[str, str] = {}
        """Texts by name."""
        self.modules: dict[str, Mapping[str, Any]] = {}
        """Globals of the user's modules that turned up, by name."""
        self._ownership, self._folders = ownership, folders
        self._quick = quick
        self._code_text = compiled_text if quick else code_text
        self._names: dict[int, str] = {}
        self._alive: list[Any] = []
        self._globals: set[str] = set()
        self._waiting: deque[tuple[str, Any, int]] = deque()

    def know(self, tensors: Mapping[str, Tensor]) -> None:
        """Call tensors by these names wherever they turn up: their values are described elsewhere."""
        for name, tensor in tensors.items():
            self._names.setdefault(id(tensor), name)
            self._alive.append(tensor)

    def visit(self, name: str, value: Any) -> None:
        """Describe a value and all that it leads to."""
        self._waiting.append((name, value, _IN_PACKAGES))
        while self._waiting:
            self._describe(*self._waiting.popleft())

    def visit_global_hooks(self) -> None:
        """Describe the hooks that torch calls for every module."""
        for kind in GLOBAL_HOOKS:
            for number, hook in enumerate(getattr(module_of_torch, kind, {}).values()):
                self.visit(f"torch{kind}[{number}]", hook)

    def _put(self, name: str, text: str) -> None:
        self.parts[name] = text

    def _later(self, children: Iterable[tuple[str, Any]], depth: int) -> None:
        self._waiting.extend((name, value, depth) for name, value in children)

    def _named(self, name: str, value: Any) -> str:
        """Note under which name an object was described first; two different ones of one name are numbered."""
        free, number = name, 1
        while free in self.parts:
            number += 1
            free = f"{name} #{number}"
        self._names[id(value)] = free
        self._alive.append(value)
        return free

    def _is_changing(self, name: str, value: Any) -> bool:
        """Whether a value is a state of the running code, such as a counter or a cache, and not a constant."""
        if not self._changing:
            return False
        root, key = name.partition("[")[0], name.rpartition(".")[2]
        is_of_class = name.startswith("class ") and f"{ANY_CLASS}.{key}" in self._changing
        if root not in self._changing and not is_of_class:
            return False
        # A registry holds code.
        held = (
            [*value.values()]
            if isinstance(value, dict)
            else [*value]
            if isinstance(value, list | tuple | set)
            else [value]
        )
        return not held or not all(
            isinstance(part, FunctionType | type | property | staticmethod | classmethod) for part in held
        )

    def _describe(self, name: str, value: Any, depth: int) -> None:
        if self._is_changing(name, value):
            self._put(name, f"changes {type_name(type(value))}")
            if self._ownership.has_class(type(value)):
                self._later([(f"{name} type", type(value))], depth)
            return
        known = self._names.get(id(value))
        if known is not None:
            self._put(name, f"is {known}")
        elif (text := plain_text(value, self._folders)) is not None:
            self._put(name, text)
            self._later(tensor_hooks(name, value), depth)
        elif isinstance(value, ModuleType):
            self._module(name, value, depth)
        elif isinstance(value, type):
            self._class(name, value)
        elif isinstance(value, FunctionType):
            self._function(name, value, depth)
        elif depth <= 0 or is_opaque(value):
            self._put(name, type_name(type(value)))
        elif isinstance(value, nn.Module):
            self._names[id(value)] = name
            self._alive.append(value)
            self._put(name, f"layer {type_name(type(value))}")
            self._later([(f"{name} type", type(value)), *layer_parts(name, value)], _IN_PACKAGES)
        elif is_container(value):
            self._container(name, value, depth)
        else:
            self._object(name, value, depth)

    def _module(self, name: str, module: ModuleType, depth: int) -> None:
        """Describe a module that is used as a value: any of what it holds may be meant."""
        self._put(name, f"module {module.__name__}")
        namespace = vars(module)
        if not self._ownership.is_users(namespace, module.__name__):
            return
        self.modules[module.__name__] = namespace
        if id(module) in self._names or module.__name__ in MAIN:
            return
        self._names[id(module)] = name
        held = {key: part for key, part in namespace.items() if not key.startswith("__")}
        self._later(
            ((f"{module.__name__}.{key}", held[key]) for key in sorted(held) if not isinstance(held[key], ModuleType)),
            depth,
        )

    def _class(self, name: str, kind: type) -> None:
        full = type_name(kind)
        if not self._ownership.has_class(kind):
            self._put(name, f"class {full}")
            # A package's class may have been given a method of the user's.
            self._later(patched_methods(kind, self._ownership), _IN_PACKAGES)
            self._alive.append(kind)
            self._names[id(kind)] = name
            return
        own = self._named(f"class {full}", kind)
        self._put(own, f"class {[type_name(base) for base in kind.__bases__]} {type_name(type(kind))}")
        if name != own:
            self._put(name, f"is {own}")
        self._note_module(str(getattr(kind, "__module__", None)))
        self._later(class_parts(own, kind, self._ownership), _IN_PACKAGES)

    def _note_module(self, module_name: str, namespace: Mapping[str, Any] | None = None) -> None:
        found = namespace if namespace is not None else namespace_of(module_name)
        if found:
            self.modules.setdefault(module_name, found)

    def _function(self, name: str, function: FunctionType, depth: int) -> None:
        full = f"{function.__module__}.{function.__qualname__}"
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
        closure = [(f"{name} closure {free}", cell.cell_contents) for free, cell in cells if _is_filled(cell)]
        if not self._ownership.has_function(function):
            self._names[id(function)] = name
            self._alive.append(function)
            self._put(name, f"function {full}")
            if depth > 0:
                # A decorator of a package holds a function of the user's.
                self._later([*closure, *_wrapped(name, function)], depth - 1)
            return
        own = self._named(f"function {full}", function)
        if name != own:
            self._put(name, f"is {own}")
        self._put(own, self._code_text(function.__code__))
        namespace = function.__globals__
        if function.__code__ in self._ran:
            self.stored.update(stored_paths(function.__code__, namespace))
        self._note_module(str(namespace.get("__name__")), namespace)
        self._later(
            [
                *((f"{own} closure {free.rpartition(' ')[2]}", value) for free, value in closure),
                *((f"{own} default {number}", value) for number, value in enumerate(function.__defaults__ or ())),
                *((f"{own} default {key}", value) for key, value in sorted((function.__kwdefaults__ or {}).items())),
                *((f"{own}.{key}", value) for key, value in sorted(vars(function).items())),
            ],
            _IN_PACKAGES,
        )
        for variable, text in environment_variables(function.__code__, namespace):
            self._put(f"environment variable {variable}", "unset" if text is None else f"set {sha256(text)}")
        for found in named_values(function.__code__, namespace, self._ownership):
            if found.path not in self._globals:
                self._globals.add(found.path)
                self._later([(found.path, found.value)], _IN_PACKAGES)

    def _container(self, name: str, value: Any, depth: int) -> None:
        self._names[id(value)] = name
        self._alive.append(value)
        children = list(self._members(name, value))
        texts = [plain_text(part, self._folders) for _, part in children]
        if len(children) > _LONG and None not in texts:
            whole = "\n".join(f"{key} {text}" for (key, _), text in zip(children, texts, strict=True))
            self._put(name, f"{type_name(type(value))} {len(children)} {sha256(whole)}")
            return
        self._put(name, f"{type_name(type(value))} {len(children)}")
        self._later([*children, *object_parts(name, value, self._ownership)], depth)

    def _members(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(value, Mapping):
            keys = [(self._key_text(key), part) for key, part in value.items()]
            yield from ((f"{name}[{key}]", part) for key, part in sorted(keys, key=lambda pair: pair[0]))
        elif isinstance(value, set | frozenset):
            members = [(self._alone(part), part) for part in value]
            ordered = sorted(members, key=lambda pair: pair[0])
            yield from ((f"{name} member {number}", part) for number, (_, part) in enumerate(ordered))
        else:
            yield from ((f"{name}[{number}]", part) for number, part in enumerate(value))

    def _key_text(self, key: Any) -> str:
        if type(key) is str:
            return repr(key) if len(key) < 80 else sha256(key)
        return plain_text(key, self._folders) or self._alone(key)

    def _alone(self, value: Any) -> str:
        """Return a text for a value by itself: members of sets have no order of their own."""
        text = plain_text(value, self._folders)
        if text is not None:
            return text
        walk = Walk(self._ownership, self._folders, quick=self._quick, changing=self._changing)
        walk._names = dict(self._names)
        walk.visit("it", value)
        return f"{type_name(type(value))} {walk.digest()}"

    def _object(self, name: str, value: Any, depth: int) -> None:
        self._names[id(value)] = name
        self._alive.append(value)
        is_users = self._ownership.has_class(type(value))
        self._put(name, type_name(type(value)) if is_users else object_text(value))
        self._later(object_parts(name, value, self._ownership), _IN_PACKAGES if is_users else depth - 1)

    def digest(self) -> str:
        """Return the SHA-256 over all parts."""
        return sha256("\n".join(f"{name} = {text}" for name, text in sorted(self.parts.items())))


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _wrapped(name: str, function: FunctionType) -> list[tuple[str, Any]]:
    return [(f"{name} wraps", vars(function)["__wrapped__"])] if "__wrapped__" in vars(function) else []
