from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tasearch.training.loss import kd_loss

TEMPERATURES = st.floats(0.5, 20.0)
WEIGHTS = st.floats(0.0, 1.0)
SEEDS = st.integers(0, 10_000)


def logits(seed: int, *, n: int = 6, k: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    student = torch.randn(n, k, generator=generator, dtype=torch.float64) * 3
    teacher = torch.randn(n, k, generator=generator, dtype=torch.float64) * 3
    return student, teacher, torch.randint(0, k, (n,), generator=generator)


@given(SEEDS, TEMPERATURES)
def test_weight_zero_is_exactly_cross_entropy(seed: int, temperature: float) -> None:
    student, teacher, target = logits(seed)
    loss = kd_loss(student, teacher, target, temperature=temperature, kd_weight=0.0)
    assert loss == F.cross_entropy(student, target)


@given(SEEDS, TEMPERATURES)
def test_a_student_equal_to_its_teacher_has_no_distillation_loss(seed: int, temperature: float) -> None:
    student, _, target = logits(seed)
    loss = kd_loss(student, student, target, temperature=temperature, kd_weight=1.0)
    assert float(loss) == pytest.approx(0.0, abs=1e-10)


@given(SEEDS, TEMPERATURES, WEIGHTS, st.floats(-50, 50))
def test_adding_a_constant_to_logits_changes_nothing(
    seed: int, temperature: float, weight: float, constant: float
) -> None:
    student, teacher, target = logits(seed)
    loss = kd_loss(student, teacher, target, temperature=temperature, kd_weight=weight)
    moved = kd_loss(student + constant, teacher - constant, target, temperature=temperature, kd_weight=weight)
    assert float(moved) == pytest.approx(float(loss), rel=1e-9, abs=1e-9)


@given(SEEDS, TEMPERATURES, WEIGHTS)
def test_repeating_the_batch_changes_nothing(seed: int, temperature: float, weight: float) -> None:
    student, teacher, target = logits(seed)
    loss = kd_loss(student, teacher, target, temperature=temperature, kd_weight=weight)
    twice = kd_loss(
        student.repeat(2, 1), teacher.repeat(2, 1), target.repeat(2), temperature=temperature, kd_weight=weight
    )
    assert float(twice) == pytest.approx(float(loss), rel=1e-12)


@given(SEEDS, TEMPERATURES, WEIGHTS)
def test_impossible_classes_change_nothing(seed: int, temperature: float, weight: float) -> None:
    """A `mean` reduction divides by the number of classes and fails here."""
    student, teacher, target = logits(seed)
    padding = torch.full((len(student), 7), -1e5, dtype=torch.float64)
    loss = kd_loss(student, teacher, target, temperature=temperature, kd_weight=weight)
    padded = kd_loss(
        torch.cat([student, padding], 1),
        torch.cat([teacher, padding], 1),
        target,
        temperature=temperature,
        kd_weight=weight,
    )
    assert float(padded) == pytest.approx(float(loss), rel=1e-9)


@given(SEEDS, TEMPERATURES, st.sampled_from([0.0, 1.0]))
def test_the_loss_is_continuous_at_both_ends_of_the_weight(seed: int, temperature: float, end: float) -> None:
    student, teacher, target = logits(seed)
    near = abs(end - 1e-9)
    at_end = kd_loss(student, teacher, target, temperature=temperature, kd_weight=end)
    beside = kd_loss(student, teacher, target, temperature=temperature, kd_weight=near)
    assert float(beside) == pytest.approx(float(at_end), abs=1e-4)


@given(SEEDS, TEMPERATURES, WEIGHTS)
def test_it_equals_the_formula_written_out(seed: int, temperature: float, weight: float) -> None:
    student, teacher, target = logits(seed)
    expected = 0.0
    for s, t, y in zip(student.tolist(), teacher.tolist(), target.tolist(), strict=True):
        soft_s, soft_t = _softmax(s, temperature), _softmax(t, temperature)
        divergence = sum(p * (math.log(p) - math.log(q)) for p, q in zip(soft_t, soft_s, strict=True) if p > 0)
        cross_entropy = -math.log(_softmax(s, 1.0)[y])
        expected += (1 - weight) * cross_entropy + weight * temperature**2 * divergence
    loss = kd_loss(student, teacher, target, temperature=temperature, kd_weight=weight)
    assert float(loss) == pytest.approx(expected / len(student), rel=1e-8, abs=1e-9)


def _softmax(row: list[float], temperature: float) -> list[float]:
    top = max(row)
    exponentials = [math.exp((value - top) / temperature) for value in row]
    return [value / sum(exponentials) for value in exponentials]


class _Fixed(nn.Module):
    """A net whose logits are given, as timm's task wants its models."""

    pretrained_cfg = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}  # noqa: RUF012

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = values
        self.num_classes, self.in_chans = values.shape[1], 3

    def forward(self, images: Tensor) -> Tensor:
        return self.values


@pytest.mark.parametrize("temperature", [1.0, 4.0, 16.0])
@pytest.mark.parametrize("weight", [0.0, 0.5, 0.9, 1.0])
def test_it_equals_timms_distillation_task(temperature: float, weight: float) -> None:
    from timm.task.distillation import LogitDistillationTask  # 400 modules that no other test needs

    student, teacher, target = logits(3)
    student, teacher = student.float(), teacher.float()
    task = LogitDistillationTask(
        _Fixed(student),
        _Fixed(teacher),
        criterion=nn.CrossEntropyLoss(),
        task_loss_weight=1 - weight,
        distill_loss_weight=weight,
        temperature=temperature,
        verbose=False,
    )
    theirs = task(torch.zeros(len(student), 3, 1, 1), target)["loss"]
    ours = kd_loss(student, teacher, target, temperature=temperature, kd_weight=weight)
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)


def test_the_gradient_reaches_the_student() -> None:
    student, teacher, target = logits(1)
    student.requires_grad_(True)
    kd_loss(student, teacher, target, temperature=4.0, kd_weight=1.0).backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    assert float(student.grad.abs().sum()) > 0


def test_mean_is_the_kl_of_the_published_code() -> None:
    """Theirs: nn.KLDivLoss() of the softened outputs, which is the mean over all elements."""
    student, teacher, target = logits(3)
    elements = nn.KLDivLoss(reduction="none")(F.log_softmax(student / 5, dim=1), F.softmax(teacher / 5, dim=1))
    theirs = elements.mean()
    expected = 0.7 * F.cross_entropy(student, target) + 0.3 * 5**2 * theirs
    ours = kd_loss(student, teacher, target, temperature=5.0, kd_weight=0.3, kl_reduction="mean")
    assert float(ours) == pytest.approx(float(expected))
