"""Weights and mid-stage state as safetensors bytes: no pickle, nothing is executed on load."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from tasearch.domain.fingerprint import plain
from tasearch.domain.result import Environment, EpochResult


def weights_to_bytes(net: nn.Module) -> bytes:
    """Return parameters and buffers as safetensors, contiguous and on the CPU; equal nets give equal bytes."""
    return save({name: _stored(tensor) for name, tensor in sorted(net.state_dict().items())})


def load_weights(net: nn.Module, data: bytes) -> None:
    """Load what `weights_to_bytes` wrote; raises RuntimeError where names or shapes differ."""
    net.load_state_dict(load(data))


def watched_tensors(net: nn.Module) -> tuple[str, ...]:
    """Return the names of parameters and buffers, without buffers that begin with infinities, as masks do.

    Waits for the net's device.
    """
    parameters = {name for name, _ in net.named_parameters(remove_duplicate=False)}
    state = net.state_dict()
    return tuple(name for name in state if name in parameters or bool(state[name].isfinite().all()))


def all_finite(net: nn.Module, names: Sequence[str]) -> Tensor:
    """Whether none of these tensors of a net's state holds infinity or NaN, shape () on the net's device."""
    state = net.state_dict()
    return torch.stack([state[name].isfinite().all() for name in names]).all()


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A stage in the middle: enough to end bit-identical to a run that was never interrupted."""

    epoch: int
    """Epoch under way, from 1."""
    step: int
    """Steps of this epoch that are done."""
    loss_sum: float
    """Sum of the batch losses of this epoch so far."""
    curve: tuple[EpochResult, ...]
    seconds: float
    """Training time so far."""
    environments: tuple[Environment, ...]
    """Where it was trained so far, in order; more than one where it was continued elsewhere."""
    teacher_artifact: str | None
    """Hash of the weights that taught it so far; None without a teacher."""
    tensors: dict[str, Tensor]
    """`net.*`, and what the optimizer keeps: `momentum.*`, of AdamW `exp_avg.*`, `exp_avg_sq.*` and `step.*`."""

    def to_bytes(self) -> bytes:
        """Return the checkpoint as safetensors with its counters in the metadata."""
        counters = {
            "epoch": self.epoch,
            "step": self.step,
            "loss_sum": self.loss_sum.hex(),
            "curve": [[point.epoch, point.train_loss, point.val_accuracy] for point in self.curve],
            "seconds": self.seconds,
            "environments": plain(self.environments),
            "teacher_artifact": self.teacher_artifact,
        }
        return save({**self.tensors, _COUNTERS: _text(json.dumps(counters))})

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        """Read what `to_bytes` wrote."""
        tensors = load(data)
        counters = json.loads(bytes(tensors.pop(_COUNTERS).tolist()))
        return cls(
            epoch=counters["epoch"],
            step=counters["step"],
            loss_sum=float.fromhex(counters["loss_sum"]),
            curve=tuple(EpochResult(epoch=e, train_loss=t, val_accuracy=v) for e, t, v in counters["curve"]),
            seconds=counters["seconds"],
            environments=tuple(map(Environment.from_plain, counters["environments"])),
            teacher_artifact=counters["teacher_artifact"],
            tensors=tensors,
        )


_COUNTERS = "counters.json"
_OF_OPTIMIZER = {"momentum_buffer": "momentum", "exp_avg": "exp_avg", "exp_avg_sq": "exp_avg_sq", "step": "step"}
"""What an optimizer keeps of a parameter, and its name in a checkpoint."""


def capture(net: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return copies of the net's state and of what the optimizer keeps."""
    tensors = {f"net.{name}": _stored(tensor) for name, tensor in net.state_dict().items()}
    for name, parameter in net.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if value is not None:
                tensors[f"{_OF_OPTIMIZER[key]}.{name}"] = _stored(value)
    return tensors


def restore(tensors: dict[str, Tensor], net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put back what `capture` took."""
    of_net = "net."
    net.load_state_dict({n.removeprefix(of_net): t for n, t in tensors.items() if n.startswith(of_net)})
    for name, parameter in net.named_parameters():
        for key, prefix in _OF_OPTIMIZER.items():
            value = tensors.get(f"{prefix}.{name}")
            if value is None:
                continue
            state = optimizer.state[parameter]
            if key == "step":
                state[key] = value
                continue
            # In the place that is there: a recorded step finds it nowhere else.
            if state.get(key) is None:
                state[key] = torch.empty_like(parameter, memory_format=torch.preserve_format)
            state[key].copy_(value)


def _stored(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()


def _text(text: str) -> Tensor:
    return torch.tensor(list(text.encode()), dtype=torch.uint8)
