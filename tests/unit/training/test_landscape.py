from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tasearch.data.views import ViewSource, batch_order, channel_statistics
from tasearch.models.registry import build_model
from tasearch.training.landscape import filter_normalised_direction, loss_plane
from tasearch.training.loop import InterruptedStage
from tests.factories import CPU, make_dataset, make_stage

DATASET = make_dataset()
SOURCE = ViewSource(DATASET.train, DATASET.spec, channel_statistics(DATASET.train), CPU)
STEPS = (-0.5, 0.0, 0.5)


def make_net(name: str = "plain4") -> nn.Module:
    return build_model(make_stage(DATASET, name).student, seed=3)


def plane(net: nn.Module, num_images: int = 96) -> tuple[tuple[float, ...], ...]:
    directions = filter_normalised_direction(net, 1), filter_normalised_direction(net, 2)
    return loss_plane(net, SOURCE, directions, STEPS, num_images=num_images)


@pytest.mark.parametrize("name", ["plain4", "resnet8"])
def test_every_filter_of_a_direction_has_the_norm_of_the_nets_own(name: str) -> None:
    net = make_net(name)
    direction = filter_normalised_direction(net, 1)
    for key, weight in net.named_parameters():
        if weight.ndim >= 2:
            torch.testing.assert_close(direction[key].flatten(1).norm(dim=1), weight.detach().flatten(1).norm(dim=1))


def test_biases_and_batch_norms_do_not_move() -> None:
    net = make_net()
    moved = set(filter_normalised_direction(net, 1))
    assert {name for name, weight in net.named_parameters() if weight.ndim < 2}.isdisjoint(moved)


def test_a_direction_follows_from_its_seed() -> None:
    net = make_net()
    first, again, other = (filter_normalised_direction(net, seed)["classifier.0.weight"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_centre_is_the_loss_as_training_sees_it() -> None:
    net = make_net().train()
    order = batch_order(96, 0, 0)
    with torch.no_grad():
        expected = F.cross_entropy(copy.deepcopy(net)(SOURCE.plain_batch(order)), SOURCE.labels[order])
    assert plane(net)[1][1] == pytest.approx(float(expected), rel=1e-5)


def test_the_first_direction_is_the_rows() -> None:
    net = make_net()
    one, other = filter_normalised_direction(net, 1), filter_normalised_direction(net, 2)
    still = {name: torch.zeros_like(weight) for name, weight in other.items()}
    rows = loss_plane(net, SOURCE, (one, still), STEPS, num_images=96)
    assert all(len(set(row)) == 1 for row in rows)
    assert len({row[0] for row in rows}) == 3


def test_the_net_stays_as_it_is() -> None:
    net = make_net().eval()
    before = copy.deepcopy(net.state_dict())
    plane(net)
    assert not net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_a_net_that_computes_the_same_with_larger_filters_has_the_same_plane() -> None:
    """Why directions are normalised: batch norm makes the scale of a filter meaningless (Li et al. 2018, section 4)."""
    net = make_net()
    scaled = copy.deepcopy(net)
    for module in scaled.modules():
        if isinstance(module, nn.Conv2d):
            with torch.no_grad():
                module.weight.mul_(10)
    for one, other in zip(plane(net), plane(scaled), strict=True):
        assert one == pytest.approx(other, rel=1e-3)


def test_fewer_images_may_be_asked_for() -> None:
    assert plane(make_net(), num_images=32) != plane(make_net())


def test_the_work_can_be_stopped() -> None:
    net = make_net()

    def stop() -> None:
        raise InterruptedStage

    direction = filter_normalised_direction(net, 1)
    with pytest.raises(InterruptedStage):
        loss_plane(net, SOURCE, (direction, direction), STEPS, num_images=96, tick=stop)
