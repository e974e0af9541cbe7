"""Runs in a process of its own: reads nets as JSON lines and answers each with its code, or with what went wrong."""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from IPython.core.interactiveshell import InteractiveShell
from torch import nn
from torch.nn.modules import module as module_of_torch

from tasearch.api.objects import model_name
from tasearch.domain.spec import ModelSpec
from tasearch.models import callables, inspection

_PATCHED = ((nn.Linear, "forward"), (nn.functional, "relu"))
Side = dict[str, Any]


def main() -> None:
    """Answer every net, each in a folder of its own under the current one."""
    nets = json.load(sys.stdin)
    root, out = Path.cwd(), sys.stdout
    answers = []
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, side in enumerate(nets):
            folder = root / f"net-{number}"
            folder.mkdir()
            with _as_before(folder, side["environment"]):
                try:
                    answers.append(code_of(side, folder))
                except Exception:
                    answers.append(traceback.format_exc())
    json.dump(answers, out)


def code_of(side: Side, folder: Path) -> str:
    """Return the code of a net whose files lie in a folder, which is the current one."""
    for name, text in side["files"].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, newline="")
    if side["kind"] == "file":
        (folder / "net_file.py").write_text(side["text"])
        name = f"net_file:{side['build']}"
    elif side["kind"] == "script":
        name = model_name(_run_script(side["text"], folder)[side["build"]])
    else:
        name = model_name(run_cells(side["text"])[side["build"]])
    spec = ModelSpec(name=name, in_channels=3, image_size=8, num_classes=4)
    return inspection.identified(spec).code


def _run_script(text: str, folder: Path) -> dict[str, Any]:
    file = folder / "script.py"
    file.write_text(text)
    main_module = ModuleType("__main__")
    main_module.__file__ = str(file)
    sys.modules["__main__"] = main_module
    exec(compile(text, str(file), "exec"), vars(main_module))
    return vars(main_module)


def run_cells(text: str) -> dict[str, Any]:
    """Run cells in the shell of this process and return its names."""
    shell = InteractiveShell.instance()
    sys.modules["__main__"] = shell.user_module
    for cell in text.split("# %%\n"):
        shell.run_cell(cell).raise_error()  # type: ignore[no-untyped-call]
    return dict(shell.user_ns)


@contextlib.contextmanager
def _as_before(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """Let a net find a process in which nothing was done."""
    modules, path, main_module = set(sys.modules), list(sys.path), sys.modules["__main__"]
    patched = [(owner, name, getattr(owner, name)) for owner, name in _PATCHED]
    hooks = copy.copy(module_of_torch._global_forward_hooks)
    variables = dict(os.environ)
    os.environ.update(environment)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        for name in set(sys.modules) - modules:
            if name.startswith("net_"):
                del sys.modules[name]
        for owner, name, value in patched:
            setattr(owner, name, value)
        module_of_torch._global_forward_hooks.clear()
        module_of_torch._global_forward_hooks.update(hooks)
        sys.path[:], sys.modules["__main__"] = path, main_module
        # Not its own reset, which collects garbage.
        shell = InteractiveShell.instance()
        shell.user_ns.clear()
        shell.user_ns["__name__"] = "__main__"
        shell.init_user_ns()  # type: ignore[no-untyped-call]
        callables._REGISTERED.clear()
        inspection._KNOWN.clear()
        os.environ.clear()
        os.environ.update(variables)
        torch.set_grad_enabled(True)


if __name__ == "__main__":
    main()
