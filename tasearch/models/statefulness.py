"""Whether the state dict of a user's net says all that it computes, and its random draws follow from the seed."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tasearch.domain.errors import ModelError
from tasearch.domain.spec import ModelSpec
from tasearch.models.identity import same_bits
from tasearch.models.own_generators import generator_states
from tasearch.models.switches import switches_kept
from tasearch.models.training_passes import copied_state, training_passes

_AGREEMENT = 1e-4
"""Largest difference of a logit, as a share of the largest one, that the layout of equal weights in memory explains."""
_GLOBAL_GENERATORS = (
    "draw from torch's, NumPy's or Python's global generators (leave out `generator=`), which are seeded before each "
    "step"
)
_FIXED_SHAPES = (
    "let every call of the function build the same layers, and let no buffer change its shape in training: register it "
    "at its full size, and write into it"
)


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


def check_training_is_repeatable(
    net: nn.Module, other: nn.Module, rebuilt: nn.Module, images: Tensor, spec: ModelSpec
) -> None:
    """Raise ModelError where training cannot be resumed exactly, or changes what a stored net would lose.

    From equal weights and equal random state, a few steps of training must compute the same with a net that has been
    trained before, with one that has not, and once more with the first. A net that draws from a generator of its own
    fails this, as does one that counts its passes, or notes that they took place, outside its state dict. After the
    steps a net that is built anew must again be the net once it has its state dict.

    Args:
        net: A net that has been through a pass in training mode.
        other: A net of another seed that has not.
        rebuilt: A third net, of any seed.
        images: A batch of the shape that the net is given.
        spec: What the net is called in messages.

    Raises:
        ModelError: What the steps compute differs, or the rebuilt net does.
    """
    before = copied_state(net)
    # As `net` was laid out when it was tried with images that lie channels last.
    other.to(memory_format=torch.contiguous_format)
    first = training_passes(net, images, spec)
    drawn = generator_states(net)
    _load(other, before, spec, hint=_FIXED_SHAPES)
    difference = training_passes(other, images, spec).difference(first)
    _load(net, before, spec, hint=_FIXED_SHAPES)
    difference = training_passes(net, images, spec).difference(first) or difference
    # A generator that each pass seeds anew stands where it stood after the first passes.
    moved = [name for name, state in generator_states(net).items() if state != drawn.get(name)]
    if moved:
        raise ModelError(
            f"{spec.name} draws from a random generator of its own in training mode ({moved[0]}), whose state is not "
            "in its state dict, so a stage that is stopped could not be resumed exactly",
            hint=_GLOBAL_GENERATORS,
        )
    if difference:
        raise ModelError(
            f"{spec.name} gives {difference} in training mode from the same weights and the same random state, so a "
            "stage that is stopped could not be resumed exactly",
            hint=f"{_GLOBAL_GENERATORS}, and keep whatever training changes in buffers (`register_buffer`), flags and "
            "counters too, which change in place",
        )
    net.eval()
    _check_rebuilt(net, rebuilt, images, spec, why="passes in training mode change more than its state dict holds")


def check_trained_apart(net: nn.Module, again: nn.Module, before: Mapping[str, Tensor], spec: ModelSpec) -> None:
    """Raise ModelError where `again`, a net built after `net`, shares trainable weights with it.

    `before`: the state in which `net` was built.
    """
    ours = {id(parameter) for parameter in net.parameters() if parameter.requires_grad}
    shared = [name for name, parameter in again.named_parameters() if id(parameter) in ours]
    state = again.state_dict()
    kept = [name for name in before if name in state and not same_bits(before[name], state[name])]
    if not shared and not kept:
        return
    raise ModelError(
        f"{spec.name} hands out the same layers each time it is called ({(shared or kept)[0]}), so a stage would begin "
        "with what another has trained",
        hint="let the function construct its layers itself, and return a new net each time",
    )


def _check_rebuilt(net: nn.Module, other: nn.Module, images: Tensor, spec: ModelSpec, *, why: str) -> None:
    _load(other, net.state_dict(), spec, hint="let every call of the function build the same layers")
    with switches_kept(spec.name), torch.no_grad():
        wanted, found = net.eval()(images), other.eval()(images)
    scale = max(1e-3, float(wanted.abs().max()))
    if same_bits(wanted, found):
        return
    # Not `>`: a difference that is no number must not pass.
    if not float((wanted - found).abs().max()) <= _AGREEMENT * scale:
        raise ModelError(
            f"{spec.name}: a net rebuilt from its state dict gives different logits, because {why}",
            hint="register it as a buffer, `self.register_buffer(NAME, tensor)`, persistent as by default: only the "
            "state dict is stored with a stage",
        )


def _load(net: nn.Module, state: Mapping[str, Tensor], spec: ModelSpec, *, hint: str) -> None:
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(
            f"{spec.name}: the state dict of one of its nets does not fit another: {_reason(error)}", hint=hint
        ) from error


def _reason(error: Exception) -> str:
    """Return the line that says why: the first one of torch's only says what was being loaded."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[1] if len(lines) > 1 else (lines or [type(error).__name__])[0]
