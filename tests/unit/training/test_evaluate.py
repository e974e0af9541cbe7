from __future__ import annotations

import torch

from tasearch.data.views import ViewSource, channel_statistics
from tasearch.models.registry import build_model
from tasearch.training.evaluate import accuracy, logits_table, mean_recall, predictions, score
from tests.factories import CPU, make_dataset, make_stage

DATASET = make_dataset()
SOURCE = ViewSource(DATASET.val, DATASET.spec, channel_statistics(DATASET.train), CPU)
NET = build_model(make_stage(DATASET).student, seed=1)


def test_a_table_holds_the_logits_of_every_view_rounded_to_half() -> None:
    views = SOURCE.views(replicate=0, epoch=3)
    table = logits_table(NET, views, precision="float32", tick=lambda: None)
    with torch.no_grad():
        direct = NET.eval()(views.batch(torch.arange(48)).contiguous(memory_format=torch.channels_last))
    assert table.dtype == torch.float16
    # Batch norms are folded into the convolutions, which may round another way.
    torch.testing.assert_close(table.float(), direct, rtol=2e-3, atol=1e-3)


def test_the_teacher_is_in_eval_mode_whatever_the_caller_does() -> None:
    NET.train()
    before = {name: tensor.clone() for name, tensor in NET.state_dict().items()}
    logits_table(NET, SOURCE.views(0, 1), precision="float32", tick=lambda: None)
    assert all(torch.equal(tensor, before[name]) for name, tensor in NET.state_dict().items())
    assert NET.training


def test_no_gradient_is_kept() -> None:
    assert not logits_table(NET, SOURCE.views(0, 1), precision="float32", tick=lambda: None).requires_grad


def test_accuracy_is_the_fraction_of_correct_predictions() -> None:
    found = predictions(NET, SOURCE, precision="float32")
    assert accuracy(NET, SOURCE, precision="float32") == float((found == DATASET.val.labels).float().mean())


def test_work_can_be_stopped_between_blocks() -> None:
    calls: list[int] = []
    logits_table(NET, SOURCE.views(0, 1), precision="float32", tick=lambda: calls.append(1))
    assert len(calls) == 1


def test_balanced_accuracy_is_the_mean_over_the_classes() -> None:
    labels = torch.tensor([0] * 8 + [1] * 2 + [3])
    correct = torch.tensor([True] * 6 + [False] * 2 + [True, False] + [True])
    assert mean_recall(correct, labels) == (6 / 8 + 1 / 2 + 1) / 3


def test_with_classes_of_one_size_both_metrics_agree() -> None:
    found = [score(NET, SOURCE, metric=metric, precision="float32") for metric in ("accuracy", "balanced-accuracy")]
    assert abs(found[0] - found[1]) < 1e-12
