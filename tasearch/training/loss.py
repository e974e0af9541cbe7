"""The distillation loss. Shapes: N = batch, K = classes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def kd_loss(
    student_NK: Tensor,  # noqa: N803
    teacher_NK: Tensor,  # noqa: N803
    target_N: Tensor,  # noqa: N803
    *,
    temperature: float | Tensor,
    kd_weight: float | Tensor,
    kl_reduction: str = "batchmean",
) -> Tensor:
    """Return (1 - kd_weight) * CE + kd_weight * temperature**2 * KL(teacher || student), mean over N, in nats.

    Both softmaxes are softened by `temperature` (Mirzadeh et al. 2020, section 3.1). The KL term sums over classes
    and averages over the batch (`batchmean`). The published code takes the mean over classes as well (`mean`): its KL
    term is smaller by a factor of K, so its weights and temperatures mean something else. Both may be tensors of shape
    () on the device.

    The value loses digits at high temperatures, where the KL term is a small difference of large sums: up to 3% of it
    at temperature 1024 in float32. It is only reported; the gradient, which trains, is right to 2e-4 there.
    """
    cross_entropy = F.cross_entropy(student_NK, target_N)
    divergence = F.kl_div(
        F.log_softmax(student_NK / temperature, dim=1),
        F.log_softmax(teacher_NK / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    if kl_reduction == "mean":
        # Not torch's own `mean`, which is to become `batchmean`.
        divergence = divergence / student_NK.shape[1]
    loss: Tensor = (1.0 - kd_weight) * cross_entropy + kd_weight * temperature**2 * divergence
    return loss
