"""The operations that a net runs, recorded: what it computes, independent of the text of its code."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit._fuser import optimized_execution
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tasearch.models.description import sha256, tensor_text
from tasearch.models.switches import switches_kept

BUILDING, EVAL, TRAINING = "building it", "eval mode", "training"


class Operations:
    """The operations of torch that build a net, of a pass in eval mode, and of one in training and back.

    Tensors are named by where they come from: parameters, buffers, earlier operations; only constants of the code are
    told by their values. So the record is the same on processors that round differently. Where a net cannot be run,
    the record says why.
    """

    def __init__(self, build: Callable[[], nn.Module]) -> None:
        """Build the net, which is `net` then."""
        self.lines: dict[str, list[str]] = {BUILDING: [], EVAL: [], TRAINING: []}
        with warnings.catch_warnings(), _Recorder(self.lines[BUILDING], {}):
            warnings.simplefilter("ignore")
            self.net = build()

    def run(self, images: Tensor) -> None:
        """Record passes of the net, which changes its statistics and gradients."""
        tensors = {"images": images, **dict(self.net.named_parameters()), **dict(self.net.named_buffers())}
        is_recurrent = any(isinstance(layer, nn.RNNBase) for layer in self.net.modules())
        with _same_everywhere(is_recurrent=is_recurrent):
            with switches_kept(), _Recorder(self.lines[EVAL], tensors) as recorder, torch.no_grad():
                recorder.tried(lambda: self.net.eval()(images))
            with switches_kept(), _Recorder(self.lines[TRAINING], tensors) as recorder, torch.enable_grad():
                # A session may have switched gradients off.
                recorder.tried(lambda: self.net.train()(images).sum().backward())


def common_operations(one: Mapping[str, list[str]], other: Mapping[str, list[str]]) -> dict[str, str]:
    """Return one text for each record: what two nets of different random states have in common."""
    return {
        phase: sha256("\n".join(line for line, theirs in _pairs(lines, other[phase]) if line == theirs))
        for phase, lines in one.items()
    }


def _pairs(one: list[str], other: list[str]) -> Iterator[tuple[str, str]]:
    # Of nets whose very operations follow from the random state nothing is left but that.
    return iter(zip(one, other, strict=True)) if len(one) == len(other) else iter(())


@contextlib.contextmanager
def _same_everywhere(*, is_recurrent: bool) -> Iterator[None]:
    """Let composite operations be taken apart in the same way on every processor."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            # The checks that follow let them be seen.
            warnings.simplefilter("ignore")
            if is_recurrent:
                # oneDNN has one operation for what other processors do step by step.
                stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            stack.enter_context(optimized_execution(False))
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, lines: list[str], tensors: Mapping[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._lines = lines
        self._names: dict[int, str] = {}
        self._storages: dict[int, str] = {}
        self._alive: list[Tensor] = []
        self._count = itertools.count(1)
        self._follows_data = False
        for name, tensor in tensors.items():
            self._name(tensor, name)

    def tried(self, run: Callable[[], object]) -> None:
        """Record a run; what it raises is part of the record, and is said by the checks that follow."""
        try:
            run()
        except Exception as error:
            self._lines.append(f"raises {type(error).__name__}")

    def _name(self, tensor: Tensor, name: str) -> None:
        self._names[id(tensor)] = name
        self._alive.append(tensor)
        with contextlib.suppress(RuntimeError, NotImplementedError):  # sparse tensors have no storage
            self._storages.setdefault(tensor.untyped_storage()._cdata, name)

    def _said(self, value: Any) -> str:
        if isinstance(value, Tensor):
            return self._said_tensor(value)
        if isinstance(value, list | tuple):
            return f"[{', '.join(map(self._said, value))}]"
        if isinstance(value, float | complex) and self._follows_data:
            # Numbers that were read from tensors round differently elsewhere.
            return type(value).__name__
        if value is None or isinstance(value, bool | int | float | complex | str):
            return repr(value)
        if type(value) in (torch.dtype, torch.device, torch.layout, torch.memory_format):
            return str(value)
        return type(value).__name__

    def _said_tensor(self, tensor: Tensor) -> str:
        if id(tensor) in self._names:
            return self._names[id(tensor)]
        if nn.parameter.is_lazy(tensor):
            return "not initialised"
        with contextlib.suppress(RuntimeError, NotImplementedError):
            name = self._storages.get(tensor.untyped_storage()._cdata)
            if name is not None:
                return f"{name} as {tuple(tensor.shape)} {tensor.stride()} {tensor.storage_offset()} {tensor.dtype}"
        # No operation made it: the code read it from a file, a list or an array. Memory that nothing was written to
        # comes from an operation such as `empty`.
        try:
            return tensor_text(tensor)
        except Exception:  # layouts that cannot be read as bytes
            return f"{tensor.dtype} {tuple(tensor.shape)}"

    def _forget_foreign(self, output: Any, arguments: Any) -> None:
        """Forget the name of a tensor that was given memory of no operation, as `torch.load` does: its bytes count."""
        for source in arguments:
            with contextlib.suppress(Exception):
                memory = getattr(source, "_untyped_storage", source)
                if isinstance(memory, torch.UntypedStorage) and memory._cdata not in self._storages:
                    self._names.pop(id(output), None)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        kwargs = kwargs or {}
        said = [*map(self._said, args), *(f"{key}={self._said(value)}" for key, value in sorted(kwargs.items()))]
        output = func(*args, **kwargs)
        if func.overloadpacket.__name__ == "_local_scalar_dense" and isinstance(output, float):
            self._follows_data = True
        number = next(self._count)
        self._lines.append(f"%{number} = {func}({', '.join(said)})")
        if func.overloadpacket.__name__ == "set_":
            self._forget_foreign(output, args[1:])
            return output
        for place, part in enumerate(tree_leaves(output)):
            if isinstance(part, Tensor) and id(part) not in self._names:
                self._name(part, f"%{number}.{place}")
        return output
