"""A folder that does not fit into memory: the same data, read from its files as needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tasearch.data import folder
from tasearch.data.dataset import DataRequest, Dataset, Split
from tasearch.data.file_split import FileSplit
from tasearch.data.memory import bytes_of
from tasearch.data.reader import ImageReader
from tasearch.data.registry import load_dataset
from tasearch.data.splits import open_test
from tasearch.data.views import ViewSource, batch_order, channel_statistics
from tasearch.domain.errors import DataError
from tests.image_folder import make_image_folder

CPU = torch.device("cpu")
NUM_IMAGES = 3 * (24 + 8)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return make_image_folder(tmp_path / "pets")


def load(images: Path, memory_bytes: int | None = 0, limit_train: int | None = None) -> Dataset:
    request = DataRequest(
        name=f"folder:{images}",
        data_dir=images.parent / "data",
        memory_bytes=memory_bytes,
        limit_train=limit_train,
        augment="shift+flip",
    )
    return load_dataset(request)


def fail(*_: object) -> None:
    raise AssertionError("not to be called")


def in_files(dataset: Dataset) -> list[bool]:
    return [isinstance(split, FileSplit) for split in (dataset.train, dataset.val, open_test(dataset))]


def test_size_against_memory_decides(images: Path) -> None:
    needed = bytes_of(NUM_IMAGES, 16)
    assert in_files(load(images, needed)) == [False] * 3
    dataset = load(images, needed - 1)
    assert in_files(dataset) == [True] * 3
    assert dataset.too_large is not None
    assert (dataset.too_large.needed_bytes, dataset.too_large.limit_bytes) == (needed, needed - 1)


def test_free_memory_decides_where_nobody_says(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_files(load(images, None)) == [False] * 3
    monkeypatch.setattr(folder, "default_limit", lambda _device: 1000)
    assert in_files(load(images, None)) == [True] * 3


@pytest.mark.parametrize("limit_train", [None, 30])
def test_identity_and_statistics_are_those_of_the_images_in_memory(images: Path, limit_train: int | None) -> None:
    streamed, held = load(images, 0, limit_train), load(images, None, limit_train)
    assert streamed.spec == held.spec
    assert streamed.test_hash == held.test_hash
    assert channel_statistics(streamed.train) == channel_statistics(held.train)
    assert torch.equal(streamed.train.labels, held.train.labels)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_views_are_bit_identical(images: Path, split: str) -> None:
    found = []
    for dataset in (load(images), load(images, None)):
        chosen = {"train": dataset.train, "val": dataset.val, "test": open_test(dataset)}[split]
        source = ViewSource(chosen, dataset.spec, channel_statistics(dataset.train), CPU)
        order = torch.tensor_split(batch_order(len(chosen), 3, 2), 4)
        found.append([*source.views(3, 2).blocks(order), *source.plain_blocks(order)])
        dataset.close()
    assert all(torch.equal(streamed, held) for streamed, held in zip(*found, strict=True))


def test_one_batch_can_be_asked_for(images: Path) -> None:
    dataset = load(images)
    source = ViewSource(dataset.train, dataset.spec, channel_statistics(dataset.train), CPU)
    indices = torch.tensor([5, 1])
    views = source.views(0, 1)
    assert torch.equal(views.batch(indices), next(views.blocks([torch.tensor([9]), indices][1:])))
    assert source.plain_batch(indices).shape == (2, 3, 16, 16)
    dataset.close()


def test_no_decoded_copy_is_written(images: Path) -> None:
    load(images)
    assert sorted(path.name for path in (images.parent / "data").iterdir()) == ["kinds", "surveys"]


def test_second_start_reads_no_image(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(images)
    monkeypatch.setattr(ImageReader, "read", fail)
    second = load(images)
    assert second.spec == first.spec
    assert channel_statistics(second.train) == channel_statistics(first.train)


def test_damaged_survey_is_made_again(images: Path) -> None:
    first = load(images)
    (kept,) = (images.parent / "data" / "surveys").iterdir()
    kept.write_bytes(kept.read_bytes()[:-3])
    assert load(images).spec == first.spec


def test_another_limit_is_another_survey(images: Path) -> None:
    assert load(images).spec.content_hash != load(images, 0, 30).spec.content_hash
    assert len(list((images.parent / "data" / "surveys").iterdir())) == 2


def test_first_reading_tells_how_far_it_is_and_can_be_stopped(images: Path) -> None:
    told: list[tuple[int, int]] = []
    request = DataRequest(name=f"folder:{images}", data_dir=images.parent / "data", memory_bytes=0)
    load_dataset(request, lambda done, total: told.append((done, total)))
    assert told[-1] == (NUM_IMAGES, NUM_IMAGES)
    assert [done for done, _ in told] == sorted({done for done, _ in told})

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    other = DataRequest(name=f"folder:{images}", data_dir=images.parent / "other", memory_bytes=0)
    with pytest.raises(KeyboardInterrupt):
        load_dataset(other, stop)
    assert not (images.parent / "other").exists()


def test_damaged_image_is_named_at_the_start(images: Path) -> None:
    broken = images / "train" / "left" / "003.png"
    broken.write_bytes(broken.read_bytes()[:-40])
    with pytest.raises(DataError, match=f"image {broken} cannot be read"):
        load(images)
    assert not (images.parent / "data").exists()


def test_an_image_that_changes_later_is_named(images: Path) -> None:
    dataset = load(images)
    changed = images / "test" / "middle" / "002.png"
    Image.fromarray(np.zeros((16, 16, 3), dtype=np.uint8)).save(changed)
    test = open_test(dataset)
    assert isinstance(test, FileSplit)
    with pytest.raises(DataError, match=f"image {changed} has changed") as error:
        list(test.read([torch.arange(len(test))]))
    assert "surveys" in error.value.hint
    dataset.close()


def test_a_split_that_nobody_has_surveyed_is_not_read(images: Path) -> None:
    request = DataRequest(name=f"folder:{images}", data_dir=images.parent / "data", memory_bytes=0)
    train = folder.load(request).train
    assert isinstance(train, FileSplit)
    with pytest.raises(ValueError, match="not been surveyed"):
        next(train.read([torch.arange(2)]))
    with pytest.raises(ValueError, match="not been surveyed"):
        channel_statistics(train)


def test_data_that_cannot_be_streamed_are_refused_where_they_are_too_large(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cluttered-digits takes .* GB of memory, more than the 0\.001 GB") as error:
        load_dataset(DataRequest(name="cluttered-digits", data_dir=tmp_path, memory_bytes=10**6))
    assert "--memory-gb" in error.value.hint


def test_split_in_memory_is_what_it_was(images: Path) -> None:
    assert isinstance(load(images, None).train, Split)
