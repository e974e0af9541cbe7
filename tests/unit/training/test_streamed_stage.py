"""A stage whose images stay in their files ends with the bits of one whose images are in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tasearch.data.dataset import DataRequest, Dataset
from tasearch.data.registry import load_dataset
from tasearch.data.views import ViewSource, channel_statistics
from tasearch.domain.errors import DataError
from tasearch.domain.spec import StageSpec
from tasearch.models.registry import build_model
from tasearch.training.evaluate import logits_table
from tasearch.training.loop import InterruptedStage, StageData, Trained, fit
from tests.factories import CPU, make_stage
from tests.image_folder import make_image_folder
from tests.unit.training.test_loop import Recorder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_image_folder(tmp_path_factory.mktemp("streamed") / "pets")


def load(images: Path, memory_bytes: int | None) -> Dataset:
    """Return the folder with shifts and flips: streamed with a limit of 0, in memory with None."""
    request = DataRequest(
        name=f"folder:{images}", data_dir=images.parent / "data", memory_bytes=memory_bytes, augment="shift+flip"
    )
    return load_dataset(request)


@pytest.fixture(scope="module")
def held(images: Path) -> Dataset:
    return load(images, None)


@pytest.fixture
def streamed(images: Path) -> Iterator[Dataset]:
    dataset = load(images, 0)
    yield dataset
    dataset.close()


def data_of(dataset: Dataset, device: torch.device = CPU) -> StageData:
    statistics = channel_statistics(dataset.train)
    return StageData(
        train=ViewSource(dataset.train, dataset.spec, statistics, device),
        val=ViewSource(dataset.val, dataset.spec, statistics, device),
    )


def teacher_logits(spec: StageSpec, data: StageData) -> Callable[[int], Tensor]:
    net = build_model(spec.student, seed=5)
    return lambda epoch: logits_table(net, data.train.views(0, epoch), precision="float32", tick=lambda: None)


def train(dataset: Dataset, recorder: Recorder | None = None, checkpoint: bytes | None = None) -> Trained:
    """Train plain2 under a fixed plain4."""
    data = data_of(dataset)
    spec = make_stage(dataset, teacher=make_stage(dataset, "plain4"))
    logits = teacher_logits(make_stage(dataset, "plain4"), data)
    return fit(spec, data, CPU, recorder or Recorder(), teacher_logits=logits, checkpoint=checkpoint)


def test_fingerprints_are_the_same(streamed: Dataset, held: Dataset) -> None:
    assert make_stage(streamed).fingerprint == make_stage(held).fingerprint


def test_weights_and_curve_are_bit_identical(streamed: Dataset, held: Dataset) -> None:
    ended, expected = train(streamed), train(held)
    assert ended.weights == expected.weights
    assert ended.curve == expected.curve


def test_teacher_tables_are_bit_identical(streamed: Dataset, held: Dataset) -> None:
    spec = make_stage(held, "plain4")
    tables = [teacher_logits(spec, data_of(dataset))(3) for dataset in (streamed, held)]
    assert torch.equal(*tables)


@pytest.mark.parametrize("stop_after", [2, 4, 5, 7])
def test_a_stopped_stage_goes_on_bit_identically(streamed: Dataset, held: Dataset, stop_after: int) -> None:
    recorder = Recorder(stop_after)
    with pytest.raises(InterruptedStage):
        train(streamed, recorder)
    streamed.close()
    assert train(streamed, checkpoint=recorder.saved[-1]).weights == train(held).weights


def test_a_file_that_vanishes_is_named_and_the_stage_goes_on_once_it_is_back(held: Dataset, tmp_path: Path) -> None:
    own = make_image_folder(tmp_path / "pets")
    dataset = load(own, 0)
    vanishing, aside = own / "train" / "middle" / "004.png", tmp_path / "aside.png"

    class Vandal(Recorder):
        def tick(self) -> None:
            super().tick()
            if self.ticks == 5 and vanishing.exists():
                vanishing.rename(aside)

    recorder = Vandal()
    with pytest.raises(DataError, match=f"image {vanishing} cannot be read: .*No such file"):
        train(dataset, recorder)
    aside.rename(vanishing)
    assert train(dataset, checkpoint=recorder.saved[-1]).weights == train(held).weights
    dataset.close()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_views_on_a_gpu_are_bit_identical(streamed: Dataset, held: Dataset) -> None:
    device = torch.device("cuda")
    order = torch.tensor_split(torch.arange(streamed.spec.num_train, device=device).flip(0), 7)
    found = [list(data_of(dataset, device).train.views(1, 1).blocks(order)) for dataset in (streamed, held)]
    assert all(torch.equal(first, second) for first, second in zip(*found, strict=True))
