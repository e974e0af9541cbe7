"""Crops are views too: a function of replicate, epoch and sample, and of nothing else."""

from __future__ import annotations

import torch
from torch import Tensor

from tasearch.data.crops import LEAST_AREA, Crops
from tasearch.data.dataset import Split
from tasearch.data.views import ViewSource, channel_statistics
from tasearch.domain.spec import DataSpec

N, SIZE = 100, 24
CPU = torch.device("cpu")
ALL = torch.arange(N)


def make_source(*, crop: bool = True) -> ViewSource:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (N, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    split = Split(images, torch.arange(N) % 10)
    spec = DataSpec(
        name="noise",
        content_hash="",
        image_size=SIZE,
        channels=3,
        num_classes=10,
        num_train=N,
        num_val=1,
        shift=0,
        flip=False,
        crop=crop,
    )
    return ViewSource(split, spec, channel_statistics(split), CPU)


def coordinates() -> Tensor:
    """Return images whose two channels are the column and the row of each pixel, in pixels."""
    steps = torch.arange(SIZE, dtype=torch.float32)
    return torch.stack((steps.expand(SIZE, SIZE), steps[:, None].expand(SIZE, SIZE))).expand(N, 2, SIZE, SIZE)


def test_a_view_does_not_depend_on_its_batch() -> None:
    views = make_source().views(1, 2)
    whole = views.batch(ALL)
    shuffled = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    assert torch.equal(torch.cat(list(views.blocks(torch.split(shuffled, 7)))), whole[shuffled])
    assert torch.equal(views.batch(ALL[5:6]), whole[5:6])


def test_replicate_and_epoch_decide() -> None:
    source = make_source()
    first = source.views(1, 2).batch(ALL)
    assert torch.equal(first, make_source().views(1, 2).batch(ALL))
    assert not torch.equal(first, source.views(1, 3).batch(ALL))
    assert not torch.equal(first, source.views(2, 2).batch(ALL))


def test_the_ambient_generator_has_no_say_and_is_left_alone() -> None:
    first = make_source().views(1, 2).batch(ALL)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert torch.equal(make_source().views(1, 2).batch(ALL), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_crop_lies_in_the_image_and_shows_a_part_of_it() -> None:
    cut = Crops(N, SIZE, 1, 1, CPU).cut(coordinates(), ALL)
    width, height = (cut[:, 0, 0, -1] - cut[:, 0, 0, 0], cut[:, 1, -1, 0] - cut[:, 1, 0, 0])
    shares = (width / (SIZE - 1)) * (height / (SIZE - 1))
    assert cut.min() >= 0
    assert cut.max() <= SIZE - 1
    assert shares.min() > 0.8 * LEAST_AREA
    assert shares.max() <= 1
    assert shares.std() > 0.1


def test_val_is_never_cropped() -> None:
    assert torch.equal(make_source().plain_batch(ALL), make_source(crop=False).plain_batch(ALL))
