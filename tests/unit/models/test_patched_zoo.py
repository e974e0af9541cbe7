"""Nets of torchvision and timm that code of the user's has a part in are identified as his."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.models import _registry as timm_registry
from torch import nn
from torch.nn.modules import module as module_of_torch
from torchvision import models
from torchvision.models import resnet

from tasearch.domain.spec import ModelSpec
from tasearch.models import inspection
from tasearch.models.identity import net_hash
from tasearch.models.inspection import identified, inspect_net
from tasearch.models.ownership import Ownership
from tasearch.models.patched_zoo import code_of_users
from tasearch.models.registry import build_model
from tasearch.models.traits import may_be_merged

RESNET = ModelSpec(name="torchvision:resnet18", in_channels=3, image_size=16, num_classes=4)
Patch = Callable[[pytest.MonkeyPatch], None]


class Mine(nn.Module):
    """What a user would register with timm."""

    def __init__(self, num_classes: int = 4, in_chans: int = 3, **_: Any) -> None:
        super().__init__()
        self.head = nn.Linear(64 * in_chans, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        logits: torch.Tensor = self.head(images.flatten(1))
        return logits


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    yield
    inspection._KNOWN.clear()
    inspection._KINDS.clear()


def tasearch_test_net(pretrained: bool = False, **arguments: Any) -> nn.Module:
    """Return a net as timm's entry points do."""
    assert not pretrained
    return Mine(**arguments)


@pytest.fixture
def registered() -> Iterator[ModelSpec]:
    """A net that is registered with timm by this module."""
    timm.models.register_model(tasearch_test_net)
    yield ModelSpec(name="timm:tasearch_test_net", in_channels=3, image_size=8, num_classes=4)
    timm_registry._model_entrypoints.pop("tasearch_test_net")
    timm_registry._module_to_models[__name__].discard("tasearch_test_net")
    timm_registry._model_to_module.pop("tasearch_test_net")


def other_forward(self: Any, images: torch.Tensor) -> torch.Tensor:
    """Return something else."""
    return self.head(images.flatten(1)) * 2 if hasattr(self, "head") else images * 2


class OtherBlock(resnet.BasicBlock):  # type: ignore[misc]
    """A class that is put in the place of torchvision's."""


def test_nets_as_they_were_installed_keep_their_hash() -> None:
    assert not code_of_users(models.resnet18, models.resnet18())
    assert not code_of_users(timm.model_entrypoint("resnet18"), timm.create_model("resnet18"))
    found = inspect_net(RESNET)
    with torch.device("meta"):
        assert found.code == net_hash(models.resnet18(num_classes=4))
    assert not found.parts
    assert inspect_net(RESNET, anew=True) is found


def test_a_net_that_is_registered_with_timm_is_looked_at_anew(
    registered: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = identified(registered)
    assert f"file of {__name__}" in inspect_net(first).parts
    assert identified(registered) == first
    assert not may_be_merged(build_model(first, 0))
    monkeypatch.setattr(Mine, "forward", other_forward)
    second = identified(registered)
    assert second.code != first.code
    # Also where nothing but the state of the process tells that the net is another.
    monkeypatch.undo()
    assert inspect_net(registered).code == first.code


def patch_method(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace a method of a class."""
    monkeypatch.setattr(resnet.BasicBlock, "forward", lambda self, x: other_forward(self.conv2, self.downsample(x)))


def patch_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace a class in its module."""
    monkeypatch.setattr(resnet, "BasicBlock", OtherBlock)


def patch_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace a function in the module of a class."""
    known = resnet.conv1x1
    monkeypatch.setattr(resnet, "conv1x1", lambda *args: known(*args))


def patch_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace a function that layers of torch call."""
    monkeypatch.setattr(nn.functional, "relu", lambda x, inplace=False: torch.clamp(x, min=0.0) * 0.5)


def add_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a hook of all modules."""
    monkeypatch.setitem(module_of_torch._global_forward_hooks, 0, lambda module, images, output: output)


@pytest.mark.parametrize("patch", [patch_block, patch_function, patch_torch, add_hook])
def test_a_patched_net_is_another_and_comes_back(patch: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    first = inspect_net(RESNET)
    patch(monkeypatch)
    second = inspect_net(RESNET)
    assert second.code != first.code
    assert second.parts
    monkeypatch.undo()
    assert inspect_net(RESNET).code == first.code
    assert inspect_net(RESNET, anew=True).code == first.code


def test_a_patched_method_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    net = models.resnet18()
    patch_method(monkeypatch)
    assert code_of_users(models.resnet18, net) == [resnet.BasicBlock.forward]


def test_a_forward_that_one_layer_holds_is_found() -> None:
    net = models.squeezenet1_1()
    net.classifier.forward = lambda images: images
    assert code_of_users(models.squeezenet1_1, net) == [net.classifier.forward]


def test_a_local_clone_of_timm_is_code_of_the_users(tmp_path: Path) -> None:
    names: dict[str, Any] = {"__name__": "timm.models.mine", "__file__": str(tmp_path / "timm/models/mine.py")}
    exec(compile("def mine(**arguments): ...", names["__file__"], "exec"), names)
    assert code_of_users(names["mine"]) == [names["mine"]]
    assert Ownership().is_users(names, "timm.models.mine")
    assert not Ownership().is_users(vars(resnet), resnet.__name__)
