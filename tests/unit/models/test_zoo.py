"""Published weights: from torch's cache, which a test fills itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torchvision import models

from tasearch.domain.errors import ModelError
from tasearch.domain.spec import ModelSpec
from tasearch.models import zoo
from tasearch.models.inspection import identified
from tasearch.models.registry import build_model

NAME, FILE = "torchvision:squeezenet1_1", "squeezenet1_1-b8a52dc0.pth"


def spec_of(*, channels: int = 3, classes: int = 4, name: str = NAME) -> ModelSpec:
    return ModelSpec(name=name, in_channels=channels, image_size=32, num_classes=classes)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, torch.Tensor]]:
    """Weights that lie in the cache as if they had been downloaded."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.manual_seed(3)
    state: dict[str, torch.Tensor] = models.squeezenet1_1().state_dict()
    torch.save(state, tmp_path / "hub" / "checkpoints" / FILE)
    yield state
    zoo._published.cache_clear()
    zoo.pretrained_hash.cache_clear()


def test_a_net_starts_from_published_weights_with_a_head_of_its_own(published: dict[str, torch.Tensor]) -> None:
    spec = identified(spec_of(), pretrained=True)
    first, second = (build_model(spec, seed).state_dict() for seed in (1, 2))
    assert torch.equal(first["features.0.weight"], published["features.0.weight"])
    assert first["classifier.1.weight"].shape[0] == 4
    assert not torch.equal(first["classifier.1.weight"], second["classifier.1.weight"])


def test_as_many_classes_keep_the_head(published: dict[str, torch.Tensor]) -> None:
    net = build_model(identified(spec_of(classes=1000), pretrained=True), 1)
    assert torch.equal(net.state_dict()["classifier.1.bias"], published["classifier.1.bias"])


def test_grey_images_get_filters_that_are_summed_over_colours(published: dict[str, torch.Tensor]) -> None:
    net = build_model(identified(spec_of(channels=1), pretrained=True), 1)
    assert torch.equal(net.state_dict()["features.0.weight"], published["features.0.weight"].sum(1, keepdim=True))


def test_other_published_weights_are_another_model(published: dict[str, torch.Tensor], tmp_path: Path) -> None:
    first = identified(spec_of(), pretrained=True)
    published["features.0.bias"] += 1
    torch.save(published, tmp_path / "hub" / "checkpoints" / FILE)
    zoo._published.cache_clear()
    zoo.pretrained_hash.cache_clear()
    assert identified(spec_of(), pretrained=True).pretrained != first.pretrained
    with pytest.raises(ModelError, match="are not those that the stage starts from"):
        build_model(first, 1)


def test_weights_for_other_images_are_refused(published: dict[str, torch.Tensor], tmp_path: Path) -> None:
    published["features.3.squeeze.weight"] = torch.zeros(16, 64, 3, 3)
    torch.save(published, tmp_path / "hub" / "checkpoints" / FILE)
    with pytest.raises(ModelError, match=r"do not fit images of 3 x 32 x 32: features\.3\.squeeze\.weight"):
        identified(spec_of(), pretrained=True)


def test_without_a_network_it_is_said_where_the_file_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: object, **kwargs: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(ModelError, match="cannot be had: OSError: Network is unreachable") as error:
        identified(spec_of(), pretrained=True)
    assert str(tmp_path / "hub" / "checkpoints" / FILE) in error.value.hint


@pytest.mark.parametrize("name", ["plain2", "tests.nets:small"])
def test_a_net_without_published_weights_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="has no published weights"):
        identified(spec_of(name=name), pretrained=True)


def test_without_a_network_timm_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: object, **kwargs: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr("socket.create_connection", no_network)
    monkeypatch.setattr(zoo, "getproxies", dict)
    with pytest.raises(ModelError, match="cannot be had: OSError: Network is unreachable") as error:
        identified(spec_of(name="timm:resnet10t"), pretrained=True)
    assert "HF_HOME" in error.value.hint
