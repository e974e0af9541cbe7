"""Whether the state dict of a user's net says all that it computes, and its random draws follow from the seed."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tasearch.domain.errors import ModelError
from tasearch.domain.spec import ModelSpec
from tasearch.models.ambient import seeded
from tasearch.models.switches import switches_kept

_AGREEMENT = 1e-4
"""Largest difference of a logit, as a share of the largest one, that the layout of equal weights in memory explains."""
_DRAWS_SEED = 0


def copied_state(net: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the parameters and buffers in the net's state dict."""
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


def starts_alike(net: nn.Module, other: nn.Module) -> bool:
    """Whether two nets of different seeds begin with the same trainable weights."""
    theirs = dict(other.named_parameters())
    trained = [(name, parameter) for name, parameter in net.named_parameters() if parameter.requires_grad]
    return all(name in theirs and torch.equal(parameter, theirs[name]) for name, parameter in trained)


def check_state_is_whole(net: nn.Module, other: nn.Module, images: Tensor, spec: ModelSpec) -> None:
    """Raise ModelError where `other`, a net of another seed, is not `net` once it has the state dict of `net`.

    A stage is stored as its state dict. Random numbers kept outside it would be drawn anew when the net is rebuilt,
    and the rebuilt net would not be the one that was trained.
    """
    _check_rebuilt(net, other, images, spec, why="part of its random state is not in its state dict")


def check_training_is_repeatable(net: nn.Module, other: nn.Module, images: Tensor, spec: ModelSpec) -> None:
    """Raise ModelError where training cannot be resumed exactly, or changes what a stored net would lose.

    Two passes in training mode from equal weights and equal random state must agree. A net that draws from a
    generator of its own fails this, as does one that counts its passes outside its state dict. After the passes
    `other` must again be the net once it has its state dict.
    """
    before = copied_state(net)
    net.train()
    first = _training_logits(net, images)
    net.load_state_dict(before)
    again = _training_logits(net, images)
    if not torch.equal(first.nan_to_num(), again.nan_to_num()):
        raise ModelError(
            f"{spec.name} gives other logits in training mode from the same weights and the same random state, so a "
            "stage that is stopped could not be resumed exactly",
            hint="draw from torch's, NumPy's or Python's global generators (leave out `generator=`), which are seeded "
            "before each step, and keep whatever training changes in buffers (`register_buffer`)",
        )
    net.eval()
    _check_rebuilt(net, other, images, spec, why="passes in training mode change more than its state dict holds")


def check_trained_apart(net: nn.Module, again: nn.Module, before: Mapping[str, Tensor], spec: ModelSpec) -> None:
    """Raise ModelError where `again`, a net built after `net`, shares trainable weights with it.

    `before`: the state in which `net` was built.
    """
    ours = {id(parameter) for parameter in net.parameters() if parameter.requires_grad}
    shared = [name for name, parameter in again.named_parameters() if id(parameter) in ours]
    state = again.state_dict()
    kept = [name for name in before if name in state and not torch.equal(before[name], state[name])]
    if not shared and not kept:
        return
    raise ModelError(
        f"{spec.name} hands out the same layers each time it is called ({(shared or kept)[0]}), so a stage would begin "
        "with what another has trained",
        hint="let the function construct its layers itself, and return a new net each time",
    )


def _training_logits(net: nn.Module, images: Tensor) -> Tensor:
    with switches_kept(), seeded(_DRAWS_SEED):
        logits: Tensor = net(images)
    return logits.detach()


def _check_rebuilt(net: nn.Module, other: nn.Module, images: Tensor, spec: ModelSpec, *, why: str) -> None:
    try:
        other.load_state_dict(net.state_dict())
    except RuntimeError as error:
        raise ModelError(
            f"{spec.name}: the state dict of one of its nets does not fit another: {str(error).splitlines()[0]}",
            hint="let every call of the function build the same layers",
        ) from error
    with switches_kept(spec.name), torch.no_grad():
        wanted, found = net.eval()(images), other.eval()(images)
    scale = max(1e-3, float(wanted.abs().max()))
    # Not `>`: a difference that is no number must not pass.
    if not float((wanted - found).abs().max()) <= _AGREEMENT * scale:
        raise ModelError(
            f"{spec.name}: a net rebuilt from its state dict gives other logits, because {why}",
            hint="register it as a buffer, `self.register_buffer(NAME, tensor)`, persistent as by default: only the "
            "state dict is stored with a stage",
        )
