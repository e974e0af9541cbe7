"""Exported networks: they load without tasearch and compute what was trained, any batch size, images in [0, 1]."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from tasearch.data.dataset import AnySplit, Dataset, Split
from tasearch.domain.errors import ModelError, TasearchError
from tasearch.domain.spec import ModelSpec
from tasearch.models.callables import register_model
from tasearch.models.registry import build_model
from tasearch.training import export
from tasearch.training.export import FILES, ONNX, SAFETENSORS, TORCH_EXPORT, Exportable, Sample, exportable, sample_of
from tasearch.training.weights import weights_to_bytes
from tests import nets
from tests.factories import make_dataset

DATASET = make_dataset()
EVERY = pytest.mark.parametrize("format_", list(FILES))
ALONE = """
import sys
sys.modules["tasearch"] = None
import numpy
images = numpy.load("images.npy")
{load}
numpy.save("logits.npy", logits)
"""
LOADS = {
    SAFETENSORS: "import torch, model; logits = model.load()(torch.from_numpy(images)).detach().numpy()",
    TORCH_EXPORT: "import torch; logits = torch.export.load('model.pt2').module()(torch.from_numpy(images))"
    ".detach().numpy()",
    ONNX: "import onnxruntime; session = onnxruntime.InferenceSession('model.onnx'); "
    "logits = session.run(['logits'], {'images': images})[0]",
}


def make_model(name: str, dataset: Dataset = DATASET) -> Exportable:
    data = dataset.spec
    spec = ModelSpec(name=name, in_channels=data.channels, image_size=data.image_size, num_classes=data.num_classes)
    net = build_model(spec, seed=3)
    with torch.no_grad():
        # As after training: running statistics that are not those of the start.
        net.train()
        net(torch.rand(64, data.channels, data.image_size, data.image_size))
    return exportable(spec, weights_to_bytes(net), dataset)


@pytest.fixture(scope="module")
def model() -> Exportable:
    return make_model("plain4")


@pytest.fixture(scope="module")
def sample(model: Exportable) -> Sample:
    return sample_of(model, DATASET)


@pytest.fixture(scope="module")
def folder(model: Exportable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All formats of the model."""
    found = tmp_path_factory.mktemp("exported")
    for format_ in FILES:
        export.write(model, format_, found)
    return found


@EVERY
def test_a_format_agrees_with_what_was_trained(folder: Path, sample: Sample, format_: str) -> None:
    found = export.check(format_, folder, sample)
    assert found.num_images == len(DATASET.val) + len(DATASET.train)
    assert found.max_difference < 1e-4
    assert found.agreement == 1.0


def test_a_resnet_agrees_in_every_format(tmp_path: Path) -> None:
    model = make_model("resnet8")
    sample = sample_of(model, DATASET)
    for format_ in FILES:
        export.write(model, format_, tmp_path)
        assert export.check(format_, tmp_path, sample).max_difference < 1e-4
    assert {path.name for path in tmp_path.iterdir()} == {name for names in FILES.values() for name in names}


@EVERY
def test_a_process_without_tasearch_predicts_the_same(folder: Path, sample: Sample, format_: str) -> None:
    np.save(folder / "images.npy", sample.images[:7].numpy())
    subprocess.run([sys.executable, "-c", ALONE.format(load=LOADS[format_])], cwd=folder, check=True)
    assert np.allclose(np.load(folder / "logits.npy"), sample.logits[:7].numpy(), atol=1e-4)


@EVERY
def test_no_file_names_the_folders_of_this_machine(folder: Path, format_: str) -> None:
    package = str(Path(export.__file__).parents[1]).encode()
    assert [name for name in FILES[format_] if package in (folder / name).read_bytes()] == []


@EVERY
def test_other_weights_are_refused(model: Exportable, sample: Sample, tmp_path: Path, format_: str) -> None:
    net = model.network()
    with torch.no_grad():
        next(net.parameters()).mul_(-1)
    other = dataclasses.replace(model, weights=weights_to_bytes(net))
    export.write(other, format_, tmp_path)
    with pytest.raises(TasearchError, match=f"exported {format_} model is not the one that was trained"):
        export.check(format_, tmp_path, sample)


def test_logits_that_are_no_numbers_are_refused(folder: Path, sample: Sample) -> None:
    broken = Sample(images=sample.images * float("nan"), logits=sample.logits)
    with pytest.raises(TasearchError, match="differ by up to nan"):
        export.check(TORCH_EXPORT, folder, broken)


def test_the_weights_are_the_bytes_of_the_artifact(folder: Path, model: Exportable) -> None:
    assert (folder / "model.safetensors").read_bytes() == model.weights


def test_the_sample_is_spread_over_val(model: Exportable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MOST_IMAGES", 5)
    images = sample_of(model, DATASET).images
    assert torch.equal((images * 255).round().to(torch.uint8), DATASET.val.images[[0, 9, 19, 28, 38]])  # type: ignore[union-attr]


def test_where_val_is_small_training_images_are_compared_too(model: Exportable) -> None:
    images = (sample_of(model, DATASET).images * 255).round().to(torch.uint8)
    assert torch.equal(images, torch.cat([DATASET.val.images, DATASET.train.images]))  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_module_called_model_does_not_import_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "model.py").write_text("from tests.nets import small as tiny\n")
    monkeypatch.syspath_prepend(tmp_path / "code")
    out = tmp_path / "out"
    out.mkdir()
    try:
        export.write(make_model("model:tiny"), SAFETENSORS, out)
    finally:
        sys.modules.pop("model", None)
    found = subprocess.run(
        [sys.executable, "-c", "from exported_model import load; load()"],
        cwd=out,
        env={**os.environ, "PYTHONPATH": f"{tmp_path / 'code'}:{Path.cwd()}"},
        check=False,
    )
    assert found.returncode == 0


def test_what_onnx_cannot_say_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot be written as ONNX: .*bessel") as error:
        export.write(make_model("tests.nets:special"), ONNX, tmp_path)
    assert "\n" not in error.value.message


def larger() -> Dataset:
    """Return images of 32 x 32: what a net for large images can take."""

    def scaled(split: AnySplit) -> Split:
        assert isinstance(split, Split)
        return Split(split.images.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3), split.labels)

    return dataclasses.replace(
        DATASET,
        spec=dataclasses.replace(DATASET.spec, image_size=32),
        train=scaled(DATASET.train),
        val=scaled(DATASET.val),
    )


def test_an_onnx_file_says_what_its_logits_mean_and_what_it_is_normalised_by(model: Exportable, tmp_path: Path) -> None:
    export.write(model, ONNX, tmp_path)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    found = session.get_modelmeta().custom_metadata_map
    assert tuple(json.loads(found["class_names"])) == DATASET.class_names
    assert (tuple(json.loads(found["mean"])), tuple(json.loads(found["std"]))) == (model.mean, model.std)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("bottleneck14", marks=pytest.mark.slow),
        "torchvision:squeezenet1_1",
        pytest.param("timm:mobilenetv3_small_050", marks=pytest.mark.slow),
        "tests.nets:small",
    ],
)
def test_other_nets_are_built_by_the_code_that_they_come_from(name: str, tmp_path: Path) -> None:
    dataset = larger()
    model = make_model(name, dataset)
    sample = sample_of(model, dataset)
    for format_ in (SAFETENSORS, TORCH_EXPORT):
        export.write(model, format_, tmp_path)
        assert export.check(format_, tmp_path, sample).agreement == 1.0
    assert "tasearch." not in (tmp_path / "model.py").read_text()


def test_a_function_of_one_process_has_no_file() -> None:
    name = register_model("exported", nets.small)
    with pytest.raises(ModelError, match="known to one process alone"):
        export.write(make_model(name), SAFETENSORS, Path())


def test_code_that_is_no_graph_is_refused_with_what_to_write_instead(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be written as a graph") as error:
        export.write(make_model("tests.nets:of_fixed_batch"), TORCH_EXPORT, tmp_path)
    assert "x.size(0)" in error.value.hint
