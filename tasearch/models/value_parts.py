"""What classes, layers and other objects consist of, by names that are the same in every process."""

from __future__ import annotations

import collections
import contextlib
import contextvars
import functools
import io
import logging
import os
import socket
import threading
import weakref
from collections.abc import Iterator, Mapping
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MappingProxyType,
    MethodType,
    MethodWrapperType,
    TracebackType,
)
from typing import Any

import numpy as np
import torch
from torch import nn

from tasearch.models.description import array_text, attribute_of, sha256, type_name, without_addresses
from tasearch.models.ownership import Ownership

Parts = Iterator[tuple[str, Any]]

_CONTAINERS = (dict, list, tuple, set, frozenset, collections.deque, MappingProxyType, collections.UserDict)
_OPAQUE = (
    *(logging.Logger, logging.Handler, io.IOBase, socket.socket, threading.Thread, weakref.ref, GeneratorType),
    *(CoroutineType, AsyncGeneratorType, FrameType, TracebackType, contextvars.ContextVar, type(threading.Lock())),
    *(type(threading.RLock()), threading.Condition, threading.Event, threading.Semaphore, threading.local),
    type(os.environ),
)
"""Types whose values belong to a process, not to what a net computes."""
_SILENT_OF_CLASSES = {
    *("__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "__annotations__", "__annotate__"),
    *("__annotate_func__", "__annotations_cache__", "__firstlineno__", "__static_attributes__", "__abstractmethods__"),
    *("_abc_impl", "__slots__", "__orig_bases__", "__parameters__", "__type_params__", "__match_args__"),
    *("__dataclass_params__", "__classdictcell__", "__jit_unused_properties__"),
}
_WRITTEN_BY_PYTHON = {
    *("__init__", "__repr__", "__eq__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__", "__setattr__"),
    *("__delattr__", "__new__", "__replace__", "_replace", "_make", "_asdict", "__getnewargs__", "__getstate__"),
    "__setstate__",
}
"""Methods of dataclasses and named tuples that follow from their fields."""
_OF_ENUMS = {"_member_names_", "_member_map_", "_value2member_map_", "_hashable_values_", "_unhashable_values_"} | {
    *("_unhashable_values_map_", "_use_args_", "_value_repr_", "_new_member_", "_generate_next_value_", "__new__"),
    *("_member_type_", "_flag_mask_", "_all_bits_", "_singles_mask_", "_inverted_"),
}
_OF_EVERY_LAYER = frozenset(vars(nn.Module()))
_OF_SCRIPTED = {"_c", "_constructor", "_initializing", "_concrete_type", "_python_modules"}
_HOOKS = (
    *("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks"),
    *("_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"),
    *("_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs", "_forward_hooks_always_called"),
)


def is_container(value: Any) -> bool:
    """Whether a value is a container of Python's, or made from one."""
    return isinstance(value, _CONTAINERS)


def is_opaque(value: Any) -> bool:
    """Whether a value belongs to this process alone: a lock, an open file, a logger."""
    return isinstance(value, _OPAQUE)


def object_text(value: Any) -> str:
    """Return the type of an object of a package's and how it prints; of what is like an array the bytes."""
    name = type_name(type(value))
    with contextlib.suppress(Exception):  # whatever foreign code does not like
        if hasattr(type(value), "__array__") or hasattr(value, "__array_interface__"):
            array = np.asarray(value)
            return f"{name} {array_text(array) or sha256(without_addresses(repr(array.tolist())))}"
    try:
        shown = without_addresses(repr(value))
    except Exception:
        shown = ""
    return f"{name} {shown if len(shown) < 200 else sha256(shown)}"


def class_parts(name: str, kind: type, ownership: Ownership) -> Parts:
    """Yield bases and attributes of a class of the user's; methods that follow from its fields are left out."""
    yield from ((f"{name} base {number}", base) for number, base in enumerate(kind.__bases__) if base is not object)
    if ownership.has_class(type(kind)):
        yield f"{name} metaclass", type(kind)
    silent = set(_SILENT_OF_CLASSES)
    if "_member_map_" in vars(kind):
        silent |= _OF_ENUMS
    is_record = "__dataclass_fields__" in vars(kind) or "_field_defaults" in vars(kind)
    for key, value in sorted(vars(kind).items()):
        if key in silent or (is_record and key in _WRITTEN_BY_PYTHON and _is_written(value)):
            continue
        if key == "__dataclass_fields__":
            yield from _field_parts(name, value)
        else:
            yield f"{name}.{key}", value


def _is_written(value: Any) -> bool:
    function = attribute_of(value, "__func__", value)
    return not isinstance(function, FunctionType) or function.__code__.co_filename.startswith("<")


def _field_parts(name: str, fields: Mapping[str, Any]) -> Parts:
    for key, field in fields.items():
        yield f"{name} field {key}", field.default
        yield f"{name} field {key} made by", field.default_factory


def patched_methods(kind: type, ownership: Ownership) -> Parts:
    """Yield the functions of the user's among the attributes of a package's class and of its bases."""
    for base in kind.__mro__:
        for key, value in list(vars(base).items()):
            function = attribute_of(value, "__func__", value)
            if isinstance(function, FunctionType) and ownership.has_function(function):
                yield f"{type_name(base)}.{key}", function


def layer_parts(name: str, layer: nn.Module) -> Parts:
    """Yield attributes, hooks, tensors and layers of a layer."""
    is_scripted = isinstance(layer, torch.jit.ScriptModule)
    if is_scripted:
        yield from _scripted_parts(name, layer)
    for key, value in sorted(vars(layer).items()):
        if key not in _OF_EVERY_LAYER and not (is_scripted and key in _OF_SCRIPTED):
            yield f"{name}.{key}", value
    for kind in _HOOKS:
        # Their keys are numbers that count through the process.
        hooks = attribute_of(layer, kind) or {}
        yield from ((f"{name} {kind.strip('_')} {number}", hook) for number, hook in enumerate(hooks.values()))
    for key, tensor in (*layer._parameters.items(), *layer._buffers.items()):
        if tensor is not None:
            yield f"{name}.{key}", tensor
            if tensor.requires_grad == (key in layer._buffers):
                yield f"{name}.{key} is trained", tensor.requires_grad
            yield from tensor_hooks(f"{name}.{key}", tensor)
    if not_stored := attribute_of(layer, "_non_persistent_buffers_set", ()):
        yield f"{name} buffers that are not stored", set(not_stored)
    if len(layer._modules.keys()):
        # They draw their weights in this order.
        yield f"{name} layers", list(layer._modules.keys())
    yield from ((f"{name}.{key}", inner) for key, inner in layer._modules.items())


def _scripted_parts(name: str, layer: Any) -> Parts:
    with contextlib.suppress(Exception):  # a scripted layer need not have a forward
        code, constants = layer.code_with_constants
        yield f"{name} script", code
        yield from ((f"{name} constant {key}", value) for key, value in sorted(constants.const_mapping.items()))


def tensor_hooks(name: str, tensor: Any) -> Parts:
    """Yield the functions that change the gradient of a tensor."""
    for kind in ("_backward_hooks", "_post_accumulate_grad_hooks"):
        hooks = attribute_of(tensor, kind) or {}
        yield from ((f"{name} {kind.strip('_')} {number}", hook) for number, hook in enumerate(hooks.values()))


def object_parts(name: str, value: Any, ownership: Ownership) -> Parts:
    """Yield what an object consists of beside what its `repr` or its type says."""
    if isinstance(value, functools.partial | functools.partialmethod):
        yield from ((f"{name} function", value.func), (f"{name} arguments", value.args))
        yield f"{name} keywords", value.keywords
    elif isinstance(value, MethodType):
        yield from ((f"{name} function", value.__func__), (f"{name} object", value.__self__))
    elif isinstance(value, BuiltinFunctionType | MethodWrapperType):
        owner = value.__self__
        if owner is not None and not isinstance(owner, type) and type_name(type(owner)) != "builtins.module":
            yield f"{name} object", owner
    elif isinstance(value, staticmethod | classmethod):
        yield f"{name} function", value.__func__
    elif isinstance(value, property):
        yield from ((f"{name} get", value.fget), (f"{name} set", value.fset))
    elif isinstance(value, functools.cached_property):
        yield f"{name} function", value.func
    elif isinstance(value, collections.defaultdict):
        yield f"{name} default", value.default_factory
    elif isinstance(value, torch.jit.ScriptFunction):
        yield f"{name} script", value.code
    else:
        yield from _held(name, value, ownership)


def _held(name: str, value: Any, ownership: Ownership) -> Parts:
    kind = type(value)
    if ownership.has_class(kind):
        yield f"{name} type", kind
    held = _dict_of(value)
    if "__wrapped__" in held:
        yield f"{name} wraps", held.pop("__wrapped__")
    if isinstance(value, str | int | float | complex | bytes):
        yield f"{name} value", _bare(value)
    # What was computed once from the rest says nothing new, and is there or not.
    computed = {key for base in kind.__mro__ for key, part in vars(base).items() if _is_cached(part)}
    held = {**_slots(value), **held}
    yield from ((f"{name}.{key}", held[key]) for key in sorted(held, key=str) if key not in computed)


def _bare(value: str | int | float | complex | bytes) -> Any:
    """Return the number or text of an object whose class is made from one; its own methods have no say."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes.__getitem__(value, slice(None))
    if isinstance(value, int):
        return int.__pos__(value)
    return float.__pos__(value) if isinstance(value, float) else complex.__pos__(value)


def _is_cached(part: Any) -> bool:
    return isinstance(part, functools.cached_property)


def _dict_of(value: Any) -> dict[str, Any]:
    try:
        held = object.__getattribute__(value, "__dict__")
    except Exception:  # a class may define `__dict__` itself
        return {}
    return dict(held) if isinstance(held, dict) else {}


def _slots(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for base in type(value).__mro__:
        for key in _slot_names(base):
            with contextlib.suppress(Exception):
                found[key] = object.__getattribute__(value, key)
    return found


def _slot_names(kind: type) -> Iterator[str]:
    slots = vars(kind).get("__slots__", ())
    for key in (slots,) if isinstance(slots, str) else tuple(slots):
        if not key.startswith("__"):
            yield key
        elif not key.endswith("__"):
            yield f"_{kind.__name__.lstrip('_')}{key}"
