"""A net in training and what one step does to it, whoever carries the step out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasearch.data.views import Views
from tasearch.domain.randomness import seed_for
from tasearch.domain.spec import StageSpec
from tasearch.models.ambient import seeded
from tasearch.models.registry import build_model
from tasearch.models.switches import guarded
from tasearch.models.traits import as_input, placed
from tasearch.training.device import autocast
from tasearch.training.exact_gradients import exact_gradients
from tasearch.training.loss import kd_loss
from tasearch.training.side_gradients import SideGradients
from tasearch.training.weights import all_finite, watched_tensors

ADAMW_BETA2 = 0.999


class Student:
    """The student of a stage with its optimizer and its loss.

    On a GPU everything that changes from step to step or from stage to stage is a tensor there, so that a captured
    step serves other stages as well; on a CPU numbers are numbers.
    """

    def __init__(self, spec: StageSpec, device: torch.device) -> None:
        self.device, self.precision = device, spec.recipe.precision
        self.kl_reduction = "batchmean" if spec.distillation is None else spec.distillation.kl_reduction
        self.net = placed(_built(spec), device)
        self.watched = watched_tensors(self.net)
        """What has to stay finite."""
        self.optimizer = _optimizer(self.net, spec, device)
        self.rate: Tensor | None = None
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        """Sum of the batch losses of the epoch so far."""
        self.side_gradients: SideGradients | None = None
        self._exact_gradients = exact_gradients(spec.student.name, self.precision, device)
        self.temperature: float | Tensor = 1.0
        self.kd_weight: float | Tensor = 0.0
        if device.type == "cuda" and spec.recipe.optimizer == "sgd":
            self.temperature, self.kd_weight = torch.ones((), device=device), torch.zeros((), device=device)
            self.rate = torch.zeros(1, device=device)
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate
            for parameter in self.net.parameters() if spec.recipe.momentum else ():
                # A first step from zeros is the same step, and the buffers stay where a captured step finds them.
                buffer = torch.zeros_like(parameter, memory_format=torch.preserve_format)
                self.optimizer.state[parameter]["momentum_buffer"] = buffer
        self._set_loss(spec)

    def begin(self, spec: StageSpec) -> None:
        """Begin another stage of the same architecture and recipe, in the tensors that are there."""
        self.net.load_state_dict(_built(spec).state_dict())
        for state in self.optimizer.state.values():
            state["momentum_buffer"].zero_()
        self.loss_sum.zero_()
        self._set_loss(spec)

    def is_finite(self) -> Tensor:
        """Whether no parameter or buffer has become infinite or NaN, shape () on the device."""
        return all_finite(self.net, self.watched)

    def _set_loss(self, spec: StageSpec) -> None:
        if spec.distillation is None:
            return
        kd = spec.distillation
        if isinstance(self.temperature, Tensor) and isinstance(self.kd_weight, Tensor):
            self.temperature.fill_(kd.temperature)
            self.kd_weight.fill_(kd.kd_weight)
        else:
            self.temperature, self.kd_weight = kd.temperature, kd.kd_weight

    def steps(
        self,
        batches: Sequence[Tensor],
        views: Views,
        labels: Tensor,
        table: Tensor | None,
        rates: Sequence[float],
        seeds: Sequence[int] | None = None,
    ) -> Iterator[None]:
        """Carry out one step for each batch (int64 (B,) on the device) and its learning rate; yields after each.

        `labels`: int64 (N,); `table`: the teacher's logits of all samples, (N, K), or None. `seeds`: what the draws of
        each step start from, where the net draws.
        """
        self.net.train()
        for number, (indices, images) in enumerate(zip(batches, views.blocks(batches), strict=True)):
            self._set_learning_rate(rates[number])
            with nullcontext() if seeds is None else seeded(seeds[number], self.device):
                self.step(images, labels[indices], None if table is None else table[indices])
            yield

    def step(self, images: Tensor, targets: Tensor, teacher: Tensor | None) -> None:
        """Change the weights by one batch: images (B, C, H, W), targets int64 (B,), teacher's logits (B, K) or None."""
        with self._exact_gradients:
            loss = self._loss(images, targets, teacher)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
        if self.side_gradients is not None:
            self.side_gradients.collect()
        self.optimizer.step()
        self.loss_sum += loss.detach()

    def _loss(self, images: Tensor, targets: Tensor, teacher: Tensor | None) -> Tensor:
        with guarded(self.net), autocast(self.device, self.precision):
            logits = self.net(as_input(images, self.net))
        logits = logits.float()
        if teacher is None:
            return F.cross_entropy(logits, targets)
        return kd_loss(
            logits,
            teacher.float(),
            targets,
            temperature=self.temperature,
            kd_weight=self.kd_weight,
            kl_reduction=self.kl_reduction,
        )

    def _set_learning_rate(self, rate: float) -> None:
        if self.rate is not None:
            self.rate.fill_(rate)
            return
        for group in self.optimizer.param_groups:
            group["lr"] = rate


def _built(spec: StageSpec) -> nn.Module:
    """Return the student as it is before its first step, on the CPU."""
    return build_model(spec.student, seed_for(spec.replicate, f"init {spec.student.name}"), spec.recipe.initial_weights)


def _optimizer(net: nn.Module, spec: StageSpec, device: torch.device) -> torch.optim.Optimizer:
    """Return SGD or AdamW; weight decay is on kernels and matrices, not on biases or batch norm, unless `all`."""
    recipe = spec.recipe
    on_gpu = device.type == "cuda"
    decayed = [p for p in net.parameters() if p.ndim >= 2 or recipe.decayed == "all"]
    others = [p for p in net.parameters() if p.ndim < 2 and recipe.decayed != "all"]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(recipe.momentum, ADAMW_BETA2), foreach=True)
    return torch.optim.SGD(
        groups,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov and recipe.momentum > 0,
        # One kernel, which reads its rate on the device.
        foreach=None if on_gpu else True,
        fused=True if on_gpu else None,
    )
