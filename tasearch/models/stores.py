"""What code changes outside itself when it runs: globals and attributes of classes, such as counters and caches."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from tasearch.models.description import type_name

ANY_CLASS = "class *"
"""The class of an object that only the running code knows."""
_MUTATORS = {
    *("append", "appendleft", "extend", "insert", "add", "update", "setdefault", "pop", "popitem", "popleft"),
    *("clear", "remove", "discard", "subtract"),
}
_NO_RESULT = (
    "STORE_",
    "DELETE_",
    "POP_",
    "RETURN_",
    "JUMP",
    "RESUME",
    "NOP",
    "CACHE",
    "PRECALL",
    "KW_NAMES",
    "EXTENDED",
)


def stored_paths(code: CodeType, namespace: dict[str, Any]) -> Iterator[str]:
    """Yield where code stores to, by the names that `models.reached_code` gives to values."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from stored_paths(constant, namespace)
    here = str(namespace.get("__name__", "?"))
    stack: list[str | None] = []
    for instruction in dis.get_instructions(code):
        kind, top = instruction.opname, stack[-1] if stack else None
        if kind == "STORE_GLOBAL":
            yield f"{here}.{instruction.argval}"
        elif kind == "STORE_SUBSCR" and len(stack) > 1 and stack[-2] in namespace:
            yield f"{here}.{stack[-2]}"
        elif kind == "STORE_ATTR" and top is not None:
            yield from _attributes(top, str(instruction.argval), namespace)
        elif kind in ("LOAD_ATTR", "LOAD_METHOD") and instruction.argval in _MUTATORS and top in namespace:
            yield f"{here}.{top}"
        _follow(instruction, stack)


def _attributes(owner: str, key: str, namespace: dict[str, Any]) -> Iterator[str]:
    value = namespace.get(owner)
    if owner == ANY_CLASS:
        yield f"{ANY_CLASS}.{key}"
    elif isinstance(value, type):
        yield f"class {type_name(value)}.{key}"
    elif isinstance(value, FunctionType):
        yield f"function {value.__module__}.{value.__qualname__}.{key}"


def _follow(instruction: dis.Instruction, stack: list[str | None]) -> None:
    """Keep track of which global lies where on the stack; of branches only the text's order is followed."""
    kind, number = instruction.opname, instruction.arg or 0
    if kind == "COPY":
        stack.append(stack[-number] if 0 < number <= len(stack) else None)
        return
    if kind == "SWAP":
        if 1 < number <= len(stack):
            stack[-1], stack[-number] = stack[-number], stack[-1]
        return
    effect = dis.stack_effect(instruction.opcode, instruction.arg, jump=False)
    calls_type = kind == "CALL" and number == 1 and "type" in stack[-3:]
    if effect < 0:
        del stack[effect:]
    else:
        stack.extend([None] * effect)
    if not stack or kind.startswith(_NO_RESULT):
        return
    if kind in ("LOAD_GLOBAL", "LOAD_NAME"):
        # Python 3.13 has the mark of a call behind the function.
        stack[-1] = str(instruction.argval)
        if effect == 2:
            stack[-2] = stack[-1]
    elif (
        calls_type
        or instruction.argval == "__class__"
        or (kind.startswith("LOAD_FAST") and instruction.argval == "cls")
    ):
        stack[-1] = ANY_CLASS
    else:
        stack[-1] = None
