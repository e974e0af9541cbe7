from __future__ import annotations

import copy
import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from tasearch.data.dataset import DataRequest
from tasearch.data.registry import load_dataset
from tasearch.data.views import ViewSource, channel_statistics
from tasearch.domain.spec import ModelSpec
from tasearch.models import bottleneck, plain_cnn, resnet
from tasearch.models.registry import build_model
from tasearch.models.switches import switches_kept
from tasearch.training.device import configure
from tasearch.training.exact_gradients import ExactGradients, exact_gradients
from tasearch.training.filter_places import geometry_of
from tasearch.training.loop import StageData, fit
from tasearch.training.student import Student
from tests.factories import CPU, make_dataset, make_recipe, make_stage
from tests.unit.training.dirty_memory import NAN_BYTE, filled
from tests.unit.training.test_loop import Recorder

OWN = ("plain10", "resnet8", "bottleneck14")
"""A net of each family of tasearch, which has all shapes of layers that deeper ones have."""
OTHERS = ("torchvision:resnet18", "torchvision:mobilenet_v2", "torchvision:efficientnet_b0")

IS_ROUNDED_ONCE = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
"""Whether oneDNN computes in bfloat16 here. Without it torch does, which rounds after each image of a batch."""


@pytest.fixture(autouse=True)
def _as_in_a_stage() -> Iterator[None]:
    with switches_kept():
        configure(CPU, threads=1)
        yield


def agrees(found: Tensor, expected: Tensor, magnitude: Tensor) -> bool:
    """Whether a gradient in bfloat16 is right at every place, and exactly zero where it has to be.

    `magnitude`: the sum of the magnitudes of all terms of the gradient. A result that was summed in float32 and rounded
    once is off by half a unit in the last of 8 digits, 2^-9 of it; twice that is allowed. What is lost in the sum was
    at most 2.2e-8 of the magnitude in 13,000 random convolutions by oneDNN.
    """
    found = found.double()
    of_sum = 1e-6 if IS_ROUNDED_ONCE else 0.05
    is_close = (found - expected).abs() <= expected.abs() / 256 + of_sum * magnitude
    return bool(is_close.all()) and bool((found[magnitude == 0] == 0).all())


class SameConv(nn.Conv2d):
    """Pads by itself as timm's `Conv2dSame` does."""

    def forward(self, images: Tensor) -> Tensor:
        return F.conv2d(F.pad(images, (0, 1, 0, 1)), self.weight, self.bias, self.stride)


class Functional(nn.Module):
    """Calls the function with keywords, and its weight is no layer's."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(32, 32, 3, 3))

    def forward(self, images: Tensor) -> Tensor:
        return F.conv2d(input=images, weight=self.kernel, stride=2, padding=1)


class Shared(nn.Module):
    """Uses one weight on two sizes of images: on the larger one every place meets pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(32, 32, 3, stride=2, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.conv(images) + self.conv(F.pad(images, (1, 1, 1, 1), value=0.5))[..., :1, :1]
        return found


class Checkpointed(nn.Module):
    """Computes its layer again in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(32, 32, 3, stride=2, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = checkpoint(self.conv, images, use_reentrant=False)
        return found


class Mapped(nn.Module):
    """Takes one image at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(32, 32, 3, stride=2, padding=1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = torch.vmap(self.conv)(images)
        return found


CONVOLUTIONS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "1d": (lambda: nn.Conv1d(32, 32, 3, stride=2, padding=1), (8, 32, 1)),
    "2d": (lambda: nn.Conv2d(32, 32, 3, stride=2, padding=1), (8, 32, 1, 1)),
    "3d": (lambda: nn.Conv3d(16, 16, 3, stride=2, padding=1), (4, 16, 1, 1, 1)),
    "transposed 1d": (lambda: nn.ConvTranspose1d(32, 32, 3, stride=2, padding=1), (8, 32, 1)),
    "transposed 2d": (lambda: nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1), (8, 32, 1, 1)),
    "transposed 3d": (lambda: nn.ConvTranspose3d(16, 16, 3, stride=2, padding=1), (4, 16, 1, 1, 1)),
    "output padding": (lambda: nn.ConvTranspose2d(32, 32, 5, stride=3, padding=2, output_padding=1), (8, 32, 1, 1)),
    "grouped": (lambda: nn.Conv2d(64, 64, 3, stride=2, padding=1, groups=4), (8, 64, 1, 1)),
    "depthwise": (lambda: nn.Conv2d(96, 96, 5, stride=2, padding=2, groups=96), (8, 96, 1, 1)),
    "dilated": (lambda: nn.Conv2d(32, 32, 3, stride=3, padding=2, dilation=2), (8, 32, 2, 2)),
    "dilated in depth": (lambda: nn.Conv3d(48, 8, (2, 3, 3), (1, 2, 2), (0, 1, 1), (2, 1, 1)), (32, 48, 8, 1, 1)),
    "same": (lambda: nn.Conv2d(32, 32, 5, padding="same"), (8, 32, 2, 2)),
    "same, even": (lambda: nn.Conv2d(32, 32, 4, padding="same"), (8, 32, 1, 1)),
    "same, even, 3d": (lambda: nn.Conv3d(16, 16, (2, 3, 4), padding="same"), (4, 16, 1, 2, 1)),
    "circular": (lambda: nn.Conv2d(32, 32, 3, stride=4, padding=1, padding_mode="circular"), (8, 32, 2, 2)),
    "a narrow image": (lambda: nn.Conv2d(32, 32, 3, stride=2, padding=1), (8, 32, 4, 1)),
    "a flat image": (lambda: nn.Conv2d(32, 32, 3, stride=2, padding=1), (8, 32, 1, 4)),
    "no padding, few channels": (lambda: nn.Conv2d(8, 64, 1, stride=2), (4, 8, 1, 1)),
    "one image": (lambda: nn.Conv2d(32, 32, 3, stride=2, padding=1), (32, 1, 1)),
    "lazy": (lambda: nn.LazyConv2d(32, 3, stride=2, padding=1), (8, 32, 1, 1)),
    "subclass": (lambda: SameConv(32, 32, 3, stride=4), (8, 32, 2, 2)),
    "functional": (Functional, (8, 32, 1, 1)),
    "shared": (Shared, (8, 32, 1, 1)),
    "checkpointed": (Checkpointed, (8, 32, 1, 1)),
    "vmap": (Mapped, (8, 32, 1, 1)),
}
SUMS = ("circular", "shared")
"""Kinds whose gradients are sums in bfloat16 of others: rounded more than once."""


def gradients(net: nn.Module, images: Tensor, upstream: Tensor, *, mended: bool = True) -> dict[str, Tensor]:
    """Return the gradients of images and parameters in bfloat16, or in the type of float64 images."""
    images = images.clone().requires_grad_()
    is_double = images.dtype is torch.float64
    with ExactGradients() if mended and not is_double else nullcontext():
        with torch.autocast("cpu", torch.bfloat16, enabled=not is_double):
            logits = net(images)
        logits.backward(upstream.to(logits.dtype))
    assert images.grad is not None
    found = {"images": images.grad}
    return found | {name: value.grad for name, value in net.named_parameters() if value.grad is not None}


def in_bfloat16(*shape: int) -> Tensor:
    """Return random numbers that bfloat16 holds exactly."""
    return torch.randn(shape).bfloat16().float()


def of_magnitudes(net: nn.Module) -> nn.Module:
    """Return a copy of a net with the magnitudes of its parameters."""
    found = copy.deepcopy(net)
    for parameter in found.parameters():
        parameter.data.abs_()
    return found


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_gradients_of_every_kind_of_convolution_are_those_of_float64(kind: str) -> None:
    torch.manual_seed(1)
    build, shape = CONVOLUTIONS[kind]
    net, images = build(), in_bfloat16(*shape)
    size = net(images).shape
    for parameter in net.parameters():
        parameter.data = in_bfloat16(*parameter.shape)
    upstream = in_bfloat16(*size)
    expected = gradients(copy.deepcopy(net).double(), images.double(), upstream)
    magnitudes = gradients(of_magnitudes(net).double(), images.double().abs(), upstream.abs())
    with filled(NAN_BYTE):
        found = gradients(net, images, upstream)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        if kind in SUMS:
            torch.testing.assert_close(
                value.double(), expected[name], rtol=0.01, atol=0.02 * float(expected[name].abs().max())
            )
        else:
            assert agrees(value, expected[name], magnitudes[name]), name


def test_weights_that_are_computed_get_right_gradients_too() -> None:
    torch.manual_seed(1)
    net = parametrizations.weight_norm(nn.Conv2d(32, 32, 3, stride=2, padding=1))
    images, upstream = in_bfloat16(8, 32, 1, 1), in_bfloat16(8, 32, 1, 1)
    expected = gradients(copy.deepcopy(net).double(), images.double(), upstream)
    with filled(NAN_BYTE):
        found = gradients(net, images, upstream)
    # The norm mixes the places; the weights themselves are rounded to 2^-9 of their size.
    for name, value in found.items():
        torch.testing.assert_close(
            value.double(), expected[name], rtol=0.01, atol=0.02 * float(expected[name].abs().max())
        )


def test_double_precision_within_autocast_stays_double() -> None:
    net = nn.Conv2d(32, 32, 3, stride=2, padding=1).double()
    with ExactGradients(), torch.autocast("cpu", torch.bfloat16):
        assert net(torch.randn(8, 32, 1, 1, dtype=torch.float64)).dtype is torch.float64


def test_nothing_is_left_on_the_net_and_no_other_bit_changes() -> None:
    torch.manual_seed(1)
    narrow, wide = nn.Conv2d(16, 16, 3, stride=2, padding=1), nn.Conv2d(16, 16, 3, padding=1)
    images, upstream = in_bfloat16(8, 16, 2, 2), in_bfloat16(8, 16, 1, 1)
    for net in (nn.Sequential(wide, narrow), nn.Sequential(narrow, wide)):
        state = copy.deepcopy(net.state_dict())
        plain = gradients(net, images, upstream, mended=False)
        net.zero_grad()
        mended = gradients(net, images, upstream)
        assert all(torch.equal(plain[name], mended[name]) for name in plain)
        assert state.keys() == net.state_dict().keys()
        assert not any(parameter._backward_hooks for parameter in net.parameters())
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
        net.zero_grad()


@pytest.mark.parametrize(
    ("model", "precision", "acts"),
    [
        ("torchvision:resnet18", "bfloat16", True),
        ("torchvision:resnet18", "float32", False),
        ("resnet8", "bfloat16", False),
    ],
)
def test_only_nets_of_others_in_bfloat16_pay(model: str, precision: str, acts: bool) -> None:
    assert isinstance(exact_gradients(model, precision, CPU), ExactGradients) is acts


def smallest_sizes() -> Iterator[tuple[str, int]]:
    yield from (("resnet8", resnet.MIN_IMAGE_SIZE), ("bottleneck14", bottleneck.MIN_IMAGE_SIZE))
    yield from ((f"plain{depth}", plain_cnn.min_image_size(depth, 4)) for depth in (2, 4, 6, 8, 10))


@pytest.mark.parametrize(("name", "size"), list(smallest_sizes()))
def test_nets_of_tasearch_see_no_image_narrower_than_a_stride(name: str, size: int) -> None:
    for image_size in range(size, size + 4):
        net = build_model(ModelSpec(name=name, in_channels=1, image_size=image_size, num_classes=4), seed=0)
        narrow: list[nn.Module] = []

        def note(module: nn.Module, inputs: tuple[Tensor, ...], narrow: list[nn.Module] = narrow) -> None:
            assert isinstance(module, nn.Conv2d)
            given = {"stride": module.stride, "padding": module.padding, "dilation": module.dilation}
            shapes = tuple(inputs[0].shape), tuple(module.weight.shape)
            if geometry_of(*shapes, given, is_transposed=False).is_narrow:
                narrow.append(module)

        convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
        for module in convolutions:
            module.register_forward_pre_hook(note)
        with torch.no_grad():
            net(torch.zeros(2, 1, image_size, image_size))
        assert convolutions
        assert not narrow


def watched(convolution: nn.Conv2d, seen: dict[nn.Conv2d, tuple[Tensor, Tensor]]) -> None:
    """Note what a layer takes and the gradient that its output gets."""

    def note(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        images = inputs[0].detach().bfloat16()

        def keep(gradient: Tensor) -> None:
            seen[convolution] = images, gradient.detach().clone()

        output.register_hook(keep)  # type: ignore[no-untyped-call]

    convolution.register_forward_hook(note)


@pytest.mark.parametrize("name", [*OWN, *OTHERS])
def test_a_step_gives_every_convolution_of_a_net_the_gradient_of_float64(name: str) -> None:
    size = 32 if name.startswith("bottleneck") else 16
    data = make_dataset()
    spec = make_stage(data, recipe=make_recipe(precision="bfloat16"))
    model = ModelSpec(name=name, in_channels=1, image_size=size, num_classes=4)
    student = Student(dataclasses.replace(spec, student=model), CPU)
    seen: dict[nn.Conv2d, tuple[Tensor, Tensor]] = {}
    convolutions = {module: path for path, module in student.net.named_modules() if isinstance(module, nn.Conv2d)}
    for module in convolutions:
        watched(module, seen)
    images, targets = torch.randn(8, 1, size, size), torch.arange(8) % 4
    student.net.train()
    with filled(NAN_BYTE):
        student.step(images, targets, None)
    assert seen.keys() == convolutions.keys()
    wrong = [path for module, path in convolutions.items() if not is_right(module, *seen[module])]
    assert not wrong


def is_right(module: nn.Conv2d, images: Tensor, gradient: Tensor) -> bool:
    assert module.weight.grad is not None

    def reference(images: Tensor, gradient: Tensor) -> Tensor:
        found: Tensor = conv2d_weight(  # type: ignore[no-untyped-call]
            images,
            module.weight.shape,
            gradient,
            stride=module.stride,
            padding=module.padding,
            dilation=module.dilation,
            groups=module.groups,
        )
        return found

    images, gradient = images.double(), gradient.double()
    return agrees(module.weight.grad, reference(images, gradient), reference(images.abs(), gradient.abs()))


@pytest.mark.slow
def test_a_stage_of_resnet18_on_small_images_has_the_same_bits_every_time(tmp_path: Path) -> None:
    data = load_dataset(DataRequest(name="cluttered-digits", data_dir=tmp_path, limit_train=32))
    model = ModelSpec(name="torchvision:resnet18", in_channels=1, image_size=data.spec.image_size, num_classes=10)
    recipe = make_recipe(precision="bfloat16", epochs=1, batch_size=16)
    spec = dataclasses.replace(make_stage(data, recipe=recipe), student=model)
    statistics = channel_statistics(data.train)
    few = data.val.subset(torch.arange(10))
    sources = [ViewSource(split, data.spec, statistics, CPU) for split in (data.train, few)]
    found = set()
    # What memory holds differs from run to run; the last is that which makes most harm.
    for byte in (0x00, 0x11, 0x3F, 0x42, 0x7F, 0x80, 0xC1, NAN_BYTE):
        with filled(byte):
            trained = fit(spec, StageData(train=sources[0], val=sources[1]), CPU, Recorder())
        found.add(hashlib.sha256(trained.weights).hexdigest())
    assert len(found) == 1
