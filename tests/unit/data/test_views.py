"""A view is a function of replicate, epoch and sample, and of nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tasearch.data.dataset import Split
from tasearch.data.views import ViewSource, batch_order, channel_statistics
from tasearch.domain.spec import DataSpec

N, SIZE, CHANNELS = 300, 8, 3
CPU = torch.device("cpu")
ALL = torch.arange(N)


def make_split() -> Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(1, 256, (N, CHANNELS, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    return Split(images, torch.arange(N) % 10)


def make_source(*, shift: int, flip: bool) -> ViewSource:
    split = make_split()
    spec = DataSpec(
        name="noise",
        content_hash="",
        image_size=SIZE,
        channels=CHANNELS,
        num_classes=10,
        num_train=N,
        num_val=1,
        shift=shift,
        flip=flip,
    )
    return ViewSource(split, spec, channel_statistics(split), CPU)


def normalised(images: Tensor) -> Tensor:
    statistics = channel_statistics(make_split())
    mean = torch.tensor(statistics.mean).view(-1, 1, 1)
    return (images - mean) * (1 / torch.tensor(statistics.std).view(-1, 1, 1))


def moved(image: Tensor, down: int, right: int) -> Tensor:
    """Return the image (C, H, W) moved, with zeros where nothing was."""
    result = torch.zeros_like(image)
    rows, columns = (slice(max(0, step), SIZE + min(0, step)) for step in (down, right))
    from_rows, from_columns = (slice(max(0, -step), SIZE + min(0, -step)) for step in (down, right))
    result[:, rows, columns] = image[:, from_rows, from_columns]
    return result


def offsets_of(views: Tensor, shift: int) -> list[tuple[int, int]]:
    """Return by how much each view is moved; raises where a view is no moved image."""
    images = make_split().images
    every = [(down, right) for down in range(-shift, shift + 1) for right in range(-shift, shift + 1)]
    return [
        next(move for move in every if torch.equal(view, normalised(moved(image, *move))))
        for image, view in zip(images, views, strict=True)
    ]


def test_same_epoch_gives_the_same_views() -> None:
    source = make_source(shift=2, flip=True)
    assert torch.equal(source.views(1, 3).batch(ALL), source.views(1, 3).batch(ALL))


@pytest.mark.parametrize(("replicate", "epoch"), [(1, 4), (2, 3)])
def test_other_epoch_or_replicate_gives_other_views(replicate: int, epoch: int) -> None:
    source = make_source(shift=2, flip=False)
    assert not torch.equal(source.views(1, 3).batch(ALL), source.views(replicate, epoch).batch(ALL))


def test_view_does_not_depend_on_its_batch() -> None:
    views = make_source(shift=2, flip=True).views(0, 1)
    assert torch.equal(views.batch(torch.tensor([7, 250, 7]))[1:], views.batch(ALL)[[250, 7]])


def test_views_ignore_and_spare_the_ambient_generator() -> None:
    source = make_source(shift=2, flip=True)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = source.views(0, 1).batch(ALL)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(source.views(0, 1).batch(ALL), first)


def test_without_augmentation_a_view_is_the_image() -> None:
    views = make_source(shift=0, flip=False).views(0, 1)
    assert torch.equal(views.batch(ALL), normalised(make_split().images))


def test_shifted_view_is_the_moved_image_and_moves_cover_the_range() -> None:
    views = make_source(shift=2, flip=False).views(0, 1)
    moves = offsets_of(views.batch(ALL), 2)
    assert {down for down, _ in moves} == {right for _, right in moves} == {-2, -1, 0, 1, 2}


def test_flip_mirrors_about_half_of_the_samples() -> None:
    images = normalised(make_split().images)
    views = make_source(shift=0, flip=True).views(0, 1).batch(ALL)
    mirrored = torch.tensor([torch.equal(view, image.flip(2)) for view, image in zip(views, images, strict=True)])
    assert torch.equal(views[~mirrored], images[~mirrored])
    assert 0.4 < mirrored.float().mean() < 0.6


def test_flip_leaves_the_shifts_as_they_were() -> None:
    plain = make_source(shift=2, flip=False).views(0, 1).batch(ALL)
    flipped = make_source(shift=2, flip=True).views(0, 1).batch(ALL)
    same = (plain == flipped).flatten(1).all(1)
    mirrored = (plain.flip(3) == flipped).flatten(1).all(1)
    assert bool((same | mirrored).all())


def test_plain_batch_is_not_augmented() -> None:
    source = make_source(shift=2, flip=True)
    assert torch.equal(source.plain_batch(torch.tensor([5, 1])), normalised(make_split().images[[5, 1]]))


def test_batch_is_laid_out_channels_last() -> None:
    batch = make_source(shift=2, flip=True).views(0, 1).batch(ALL)
    assert batch.shape == (N, CHANNELS, SIZE, SIZE)
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_source_knows_its_labels_and_number() -> None:
    source = make_source(shift=0, flip=False)
    assert source.num_samples == source.views(0, 1).num_samples == N
    assert torch.equal(source.labels, make_split().labels)


def test_statistics_are_those_of_all_pixels() -> None:
    split = make_split()
    pixels = split.images.double().transpose(0, 1).flatten(1)
    statistics = channel_statistics(split)
    assert statistics.mean == pytest.approx(pixels.mean(1).tolist(), rel=1e-12)
    assert statistics.std == pytest.approx(pixels.std(1, correction=0).tolist(), rel=1e-12)


def test_constant_channel_can_be_divided_by() -> None:
    split = Split(torch.full((2, 1, 4, 4), 7, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64))
    assert channel_statistics(split).std == (1.0,)


def test_order_is_a_permutation_fixed_by_replicate_and_epoch() -> None:
    order = batch_order(N, 1, 2)
    assert torch.equal(order.sort().values, ALL)
    assert torch.equal(order, batch_order(N, 1, 2))


def test_order_changes_with_epoch_and_replicate() -> None:
    assert not torch.equal(batch_order(N, 1, 2), batch_order(N, 1, 3))
    assert not torch.equal(batch_order(N, 1, 2), batch_order(N, 2, 2))


def test_order_spares_the_ambient_generator() -> None:
    before = torch.random.get_rng_state()
    batch_order(N, 0, 1)
    assert torch.equal(torch.random.get_rng_state(), before)
