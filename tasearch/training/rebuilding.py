"""The net of a stage, rebuilt from the bytes that are stored: it must be the net that was trained."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from tasearch.data.views import ViewSource
from tasearch.domain.errors import StageFailedError
from tasearch.domain.metric import ACCURACY, in_words
from tasearch.domain.spec import ModelSpec, StageSpec
from tasearch.models.registry import build_model
from tasearch.models.traits import placed
from tasearch.training.evaluate import first_logits, score
from tasearch.training.weights import load_weights

_ROUNDING, _LOGIT_ROUNDING = 0.005, 0.05
"""Difference of an accuracy, and of a logit as a share of the largest one, that other kernels explain in bfloat16."""


def rebuilt(spec: ModelSpec, weights: bytes, device: torch.device) -> nn.Module:
    """Return the net of a stage from its stored weights, on a device and in eval mode.

    Raises RuntimeError where the weights do not fit.
    """
    # No stage begins with this seed: whatever of a net does not come from its weights comes out differently.
    net = build_model(spec, seed=0)
    load_weights(net, weights)
    return placed(net, device).eval()


def check_rebuilt(
    trained: nn.Module,
    spec: StageSpec,
    weights: bytes,
    val: ViewSource,
    reported: float,
    *,
    is_exact: bool,
    tick: Callable[[], None],
) -> None:
    """Compare the net rebuilt from stored weights with the one that was trained and with what training reported.

    The logits of both nets are compared on the first block of val, and the accuracy of the rebuilt net on all of val
    with the reported one. Either has its blind spot: accuracies of 100% agree easily, and the trained net of a stage
    that was stopped has itself been rebuilt from a checkpoint. All of val is used, because one pass costs less than
    2% of a stage of 10 epochs, and a sample would need an accuracy of its own from training.

    Args:
        trained: The net as training left it.
        spec: The stage.
        weights: The bytes that are to be stored.
        val: The images of val, on the device of the stage.
        reported: Accuracy after the last epoch, in the metric of the stage.
        is_exact: Whether the same kernels as in training are used now, so that numbers must be equal. This holds on
            a CPU in one environment. On a GPU cuDNN may choose another algorithm once memory for its workspace runs
            short, and kernels with atomic additions round in another order, so that a few images may change sides.
        tick: Called after every block of images; may raise to stop.

    Raises:
        StageFailedError: The nets differ, or the weights do not fit a newly built net.
    """
    precision = spec.recipe.precision
    try:
        net = rebuilt(spec.student, weights, val.device)
    except RuntimeError as error:
        # No memory is no fault of the net, and has its own way to be dealt with.
        if "Error(s) in loading state_dict" not in str(error):
            raise
        raise _not_the_same(spec, f"its stored weights do not fit a newly built net ({_first_line(error)})") from error
    wanted, logits = (first_logits(one, val, precision=precision) for one in (trained, net))
    apart, scale = float((wanted - logits).abs().max()), max(1.0, float(wanted.abs().max()))
    tick()
    found = score(net, val, metric=spec.metric, precision=precision, tick=tick)
    allowed = 0.0 if is_exact else max(_ROUNDING, 2 * _weight_of_one(val, spec.metric))
    # Not `>`: a difference that is no number must not pass.
    if not abs(found - reported) <= allowed:
        raise _not_the_same(
            spec,
            f"its net had a val {in_words(spec.metric)} of {100 * reported:.2f}% in training, and rebuilt from the "
            f"weights to be stored it has {100 * found:.2f}%",
        )
    if not apart <= (0.0 if is_exact else _LOGIT_ROUNDING * scale):
        raise _not_the_same(
            spec,
            f"rebuilt from the weights to be stored, its net gives logits that differ by up to {apart:.3g} from those "
            "of the net that was trained",
        )


def _not_the_same(spec: StageSpec, what: str) -> StageFailedError:
    advice = (
        f"{spec.student.name} computes with something that is not in its state dict: register it as a buffer "
        "(register_buffer), and change it in place in training"
    )
    return StageFailedError(
        f"stage {spec.label}: the net rebuilt from the stored weights differs from the trained net: {what}; {advice}"
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return lines[1] if len(lines) > 1 else lines[0]


def _weight_of_one(val: ViewSource, metric: str) -> float:
    """Return by how much one image can change an accuracy."""
    if metric == ACCURACY:
        return 1 / val.num_samples
    counts: list[int] = [count for count in torch.bincount(val.labels_on_cpu).tolist() if count]
    return 1 / (len(counts) * min(counts))
