"""Objects by name: `mypkg.data:make_dataset` is the attribute `make_dataset` of the module `mypkg.data`."""

from __future__ import annotations

import difflib
import importlib
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

_FORM = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


class NotImportedError(Exception):
    """The object cannot be had; `hint` says what to do."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def is_dotted_path(text: str) -> bool:
    """Return whether a text reads as `package.module:name`."""
    return _FORM.fullmatch(text) is not None


def imported(path: str) -> object:
    """Import the module of a dotted path, the current folder included, and return the object.

    Raises NotImportedError where the module is missing or breaks, or has no such name.
    """
    module_name, _, attribute = path.partition(":")
    here = os.getcwd()  # noqa: PTH109 - sys.path holds text
    try:
        # stdout is for results, also where a module prints.
        with _first_on_path(here), redirect_stdout(sys.stderr):
            importlib.invalidate_caches()
            found: object = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        # What is missing may be what the module itself imports.
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{module_name}.".startswith(f"{missing}."):
            raise NotImportedError(
                f"{path}: there is no module {missing!r}",
                hint=f"it is looked for in {here} and where Python finds packages (PYTHONPATH)",
            ) from error
        raise NotImportedError(
            f"{path}: importing {module_name} failed: {said(error)}", hint="mend the module; --debug shows all of it"
        ) from error
    for name in attribute.split("."):
        if not hasattr(found, name):
            close = difflib.get_close_matches(name, dir(found), n=1)
            raise NotImportedError(
                f"{path}: {module_name} has no {name!r}",
                hint=f"did you mean {close[0]!r}?" if close else "write MODULE:NAME, NAME as it is in the module",
            )
        found = getattr(found, name)
    return found


@contextmanager
def _first_on_path(folder: str) -> Iterator[None]:
    """Let a folder win while a module is imported; after that it stays at the end, for imports inside functions."""
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)


def said(error: BaseException) -> str:
    """Return type and message of an error of foreign code, and the line that raised it."""
    text = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{f': {text}' if text else ''}{where}"
