"""A trained network for use without tasearch: written, loaded back, and compared with the one that was trained."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tasearch.data.dataset import Dataset, Split
from tasearch.data.views import ChannelStatistics, ViewSource, normalisation_of
from tasearch.domain.errors import ModelError, TasearchError
from tasearch.domain.spec import ModelSpec
from tasearch.models.normalised import Normalised
from tasearch.models.registry import build_model
from tasearch.models.standalone import network_source, normalised_source
from tasearch.models.traits import in_rows
from tasearch.training.weights import load_weights

# Shapes: N = images, K = classes, C/H/W = image channels/height/width
_MODULE_NAME, _OTHER_MODULE = "model", "exported_model"
SAFETENSORS, TORCH_EXPORT, ONNX = "safetensors", "torch-export", "onnx"
FILES = {
    SAFETENSORS: ("model.safetensors", "model.py"),
    TORCH_EXPORT: ("model.pt2",),
    ONNX: ("model.onnx",),
}
"""What each format consists of; a network of your own module `model` comes with another module."""
EVERY_FILE = frozenset({name for names in FILES.values() for name in names} | {f"{_OTHER_MODULE}.py"})
INPUT, OUTPUT = "images", "logits"
"""Names of the input and the output of an ONNX model."""
MOST_IMAGES = 1_000
"""Images that a format is compared on: of val, and where these are fewer of the training images too."""
TOLERANCE = 1e-3
"""Largest difference of a logit that passes, as a share of the largest logit (of 1 where all are smaller)."""
_BLOCK = 100
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, kw_only=True)
class Exportable:
    """A trained student and what it has to be fed with."""

    spec: ModelSpec
    weights: bytes
    """safetensors, as the artifact store has them."""
    statistics: ChannelStatistics
    """What images are normalised by, in units of 0..255."""
    class_names: tuple[str, ...]
    """In the order of the logits."""

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of each channel in units of [0, 1]."""
        return tuple(value / 255 for value in self.statistics.mean)

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of each channel in units of [0, 1]."""
        return tuple(value / 255 for value in self.statistics.std)

    def network(self) -> nn.Module:
        """Return the bare network on the CPU in eval mode: it takes images that are normalised."""
        net = build_model(self.spec, seed=0)
        load_weights(net, self.weights)
        return net.eval()


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Images, and what the network that was trained makes of them."""

    images: Tensor
    """float32 (N, C, H, W), in [0, 1]."""
    logits: Tensor
    """float32 (N, K)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A format that was loaded back and compared."""

    format: str
    runtime: str
    """What ran it, with its version."""
    num_images: int
    max_difference: float
    """Largest absolute difference of a logit."""
    tolerance: float
    """What it may be at most."""
    agreement: float
    """Share of the images that both put into the same class."""


def exportable(spec: ModelSpec, weights: bytes, dataset: Dataset) -> Exportable:
    """Return a student with the normalisation of the images it was trained on and the names of their classes."""
    return Exportable(
        spec=spec,
        weights=weights,
        statistics=normalisation_of(dataset.spec, dataset.train),
        class_names=dataset.class_names,
    )


def sample_of(model: Exportable, dataset: Dataset) -> Sample:
    """Return at most `MOST_IMAGES` images with the logits that the study's own code computes.

    They are spread over val; where that has fewer, all of it and images spread over train, as they are without
    augmentation. In float32, whatever the precision of training.
    """
    net = model.network()
    from_val = min(MOST_IMAGES, len(dataset.val))
    from_train = min(MOST_IMAGES - from_val, len(dataset.train))
    pixels, logits = [], []
    try:
        for split, count in ((dataset.val, from_val), (dataset.train, from_train)):
            if not count:
                continue
            indices = torch.arange(count) * len(split) // count
            pixels.append(split.images[indices] if isinstance(split, Split) else next(iter(split.read([indices]))))
            views = ViewSource(split, dataset.spec, model.statistics, torch.device("cpu"))
            logits.append(_run(net, in_rows(views.plain_batch(indices))))
    finally:
        dataset.close()
    return Sample(images=torch.cat(pixels).to(torch.float32) / 255, logits=torch.cat(logits))


def module_name(spec: ModelSpec) -> str:
    """Return the name of the Python module that safetensors come with: not that of the code which it imports."""
    own = spec.name.partition(":")[0].partition(".")[0]
    return _OTHER_MODULE if own == _MODULE_NAME else _MODULE_NAME


def write(model: Exportable, format_: str, folder: Path) -> None:
    """Write the files of a format into a folder that exists. Raises ModelError where the format has no such model."""
    {SAFETENSORS: _write_safetensors, TORCH_EXPORT: _write_torch_export, ONNX: _write_onnx}[format_](model, folder)


def check(format_: str, folder: Path, sample: Sample) -> Check:
    """Load what `write` has written and compare it with the network that was trained, on batches of 1 and more.

    Raises TasearchError where they disagree.
    """
    load = {SAFETENSORS: _load_safetensors, TORCH_EXPORT: _load_torch_export, ONNX: _load_onnx}[format_]
    runtime, net = load(folder)
    images, wanted = sample.images, sample.logits
    found = _run(net, images)
    tolerance = TOLERANCE * max(1.0, float(wanted.abs().max()))
    result = Check(
        format=format_,
        runtime=runtime,
        num_images=len(images),
        max_difference=float((found - wanted).abs().max()),
        tolerance=tolerance,
        agreement=float((found.argmax(dim=1) == wanted.argmax(dim=1)).float().mean()),
    )
    # Not `>`: a difference that is no number must not pass.
    if not result.max_difference <= tolerance:
        raise TasearchError(
            f"the exported {format_} model is not the one that was trained: on {len(images)} images its logits "
            f"differ by up to {result.max_difference:g}, allowed: {tolerance:g}; "
            f"{100 * result.agreement:.1f}% of the images get the same class",
            hint=f"nothing was exported; use another --format, or other versions of the libraries ({runtime} ran it)",
        )
    return result


def _run(net: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return the logits of all images, the first one in a batch of its own."""
    with torch.no_grad():
        return torch.cat([net(images[block]).float() for block in _blocks(len(images))])


def _blocks(count: int) -> Iterator[slice]:
    yield slice(0, 1)
    for start in range(1, count, _BLOCK):
        yield slice(start, start + _BLOCK)


def _normalised(model: Exportable) -> Normalised:
    net = Normalised(model.network(), model.mean, model.std)
    net.eval()
    return net


def _program(model: Exportable) -> torch.export.ExportedProgram:
    """Return the network as a graph of operations that takes batches of any size. Raises ModelError."""
    spec = model.spec
    example = torch.zeros(2, spec.in_channels, spec.image_size, spec.image_size)
    batch = torch.export.Dim("batch", min=1)
    try:
        program = torch.export.export(_normalised(model), (example,), dynamic_shapes={INPUT: {0: batch}})
    except Exception as error:  # whatever in a user's code is no graph of tensors
        raise ModelError(
            f"{spec.name} cannot be written as a graph that takes any number of images: {type(error).__name__}: "
            f"{str(error).strip().splitlines()[0]}",
            hint="in its forward, write x.size(0) for len(x) and no branches on values; or use --format safetensors",
        ) from error
    for node in program.graph.nodes:
        # Where in whose folders it was defined: nobody else's business.
        node.meta.pop("stack_trace", None)
    return program


def _write_safetensors(model: Exportable, folder: Path) -> None:
    weights_name, _ = FILES[SAFETENSORS]
    module, source = module_name(model.spec), network_source(model.spec)
    (folder / weights_name).write_bytes(model.weights)
    text = _MODULE.format(
        module=module,
        needs=" ".join(("torch", "safetensors", *source.packages)),
        network=source.text.rstrip(),
        normalised=normalised_source().rstrip(),
        mean=model.mean,
        std=model.std,
        expression=source.expression,
        weights=weights_name,
    )
    (folder / f"{module}.py").write_text(text, encoding="utf-8")


_MODULE = '''\
# Written by `tasearch export`; needs no tasearch: pip install {needs}
#
#     from {module} import load
#     logits = load()(images)  # images: float32 (N, C, H, W) in [0, 1]

{network}


from pathlib import Path  # noqa: E402

import torch  # noqa: E402
from torch import Tensor  # noqa: E402, F811
from safetensors.torch import load_file  # noqa: E402

MEAN = {mean!r}
"""Of each channel, in units of [0, 1]."""
STD = {std!r}


{normalised}


def load(path: str | Path | None = None) -> Normalised:
    """Return the trained network in eval mode on the CPU; `path`: of its weights, by default beside this file."""
    net = {expression}
    net.load_state_dict(load_file(Path(__file__).with_name("{weights}") if path is None else path))
    return Normalised(net, MEAN, STD).eval()
'''


def _write_torch_export(model: Exportable, folder: Path) -> None:
    torch.export.save(_program(model), folder / FILES[TORCH_EXPORT][0])


def _write_onnx(model: Exportable, folder: Path) -> None:
    # Imported here: a second, and only this format needs it.
    import onnx

    path, program = folder / FILES[ONNX][0], _program(model)
    try:
        torch.onnx.export(
            program,
            (),
            path,
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            external_data=False,
            verbose=False,
        )
    except Exception as error:  # whatever has no counterpart in ONNX
        # The first line says which step of torch's exporter failed, the cause what it could not write.
        cause = " ".join(_COLOURS.sub("", str(error.__cause__ or error)).split())
        raise ModelError(
            f"{model.spec.name} cannot be written as ONNX: {type(error).__name__}: {cause[:300]}",
            hint="where it has an operation that ONNX lacks, write it with others, or use another --format",
        ) from error
    written = onnx.load(path)
    for part in (*written.graph.node, *written.graph.value_info, *written.graph.input, *written.graph.output):
        del part.metadata_props[:]
    onnx.helper.set_model_props(written, _onnx_metadata(model))
    onnx.checker.check_model(written, full_check=True)
    onnx.save(written, path)


def _onnx_metadata(model: Exportable) -> dict[str, str]:
    """Return what a user of the file alone needs to know. Values are JSON, because ONNX takes only texts."""
    return {
        "class_names": json.dumps(model.class_names, ensure_ascii=False),
        "mean": json.dumps(model.mean),
        "std": json.dumps(model.std),
        "input": "float32 images in [0, 1]; normalisation by mean and std is part of the graph",
    }


Loaded = tuple[str, Callable[[Tensor], Tensor]]
"""What runs a model, and the model."""


def _load_safetensors(folder: Path) -> Loaded:
    # Run as a file of its own, as whoever gets it will.
    [path] = [path for path in (folder / f"{name}.py" for name in (_MODULE_NAME, _OTHER_MODULE)) if path.exists()]
    return f"torch {torch.__version__}", runpy.run_path(str(path), run_name="exported_network")["load"]()


def _load_torch_export(folder: Path) -> Loaded:
    net: Any = torch.export.load(folder / FILES[TORCH_EXPORT][0]).module()
    return f"torch {torch.__version__}", net


def _load_onnx(folder: Path) -> Loaded:
    # Imported here: a second, and only this format needs it.
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / FILES[ONNX][0], providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])

    return f"onnxruntime {onnxruntime.__version__}", run
