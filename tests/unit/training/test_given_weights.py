"""Checkpoints of others: what is read, what is refused, and that no code in a file ever runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tasearch.domain.errors import ModelError
from tasearch.domain.spec import ModelSpec
from tasearch.models.registry import build_model
from tasearch.training.given_weights import read_checkpoint
from tasearch.training.weights import weights_to_bytes

SPEC = ModelSpec(name="plain2", in_channels=1, image_size=8, num_classes=4)
NET = build_model(SPEC, seed=7)
STATE: dict[str, Tensor] = NET.state_dict()
WANTED = weights_to_bytes(NET)


def saved(folder: Path, content: Any) -> Path:
    torch.save(content, folder / "teacher.pt")
    return folder / "teacher.pt"


def without(*ends: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in STATE.items() if not name.endswith(ends)}


def test_a_safetensors_file_is_read(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "teacher.bin")
    assert read_checkpoint(tmp_path / "teacher.bin", SPEC).weights == WANTED


@pytest.mark.parametrize(
    ("content", "remarks"),
    [
        (
            {
                "model_ema": {
                    "n_averaged": torch.tensor(3),
                    **{f"module.{name}": tensor for name, tensor in STATE.items()},
                }
            },
            (
                "its entry `model_ema` is used, weights averaged over training",
                "`module.` before every name is left out",
            ),
        ),
        (
            {"state_dict": STATE, "state_dict_ema": without()},
            ("its entry `state_dict` is used; `state_dict_ema`, weights averaged over training, is left aside",),
        ),
        (
            {"state_dict": {f"model.{name}": tensor for name, tensor in STATE.items()}, "hyper_parameters": {"lr": 1}},
            ("its entry `state_dict` is used", "`model.` before every name is left out"),
        ),
        ({"model": STATE, "best_acc": np.float64(71.2), "epoch": np.int64(3)}, ("its entry `model` is used",)),
        (
            {"model": STATE, "args": argparse.Namespace(lr=0.1, out=Path("x")), "curve": np.zeros(3)},
            ("its entry `model` is used",),
        ),
        (STATE, ()),
        ({"epoch": 3, "model": STATE, "optimizer": {}}, ("its entry `model` is used",)),
        ({"state_dict": STATE}, ("its entry `state_dict` is used",)),
        ({f"module.{name}": tensor for name, tensor in STATE.items()}, ("`module.` before every name is left out",)),
        (
            {"model": {f"_orig_mod.module.{name}": tensor for name, tensor in STATE.items()}},
            (
                "its entry `model` is used",
                "`_orig_mod.` before every name is left out",
                "`module.` before every name is left out",
            ),
        ),
    ],
    ids=[
        "entry ema",
        "ema beside the weights",
        "Lightning",
        "a scalar of NumPy",
        "Namespace, path and array",
        "state dict",
        "entry model",
        "entry state_dict",
        "DataParallel",
        "compiled",
    ],
)
def test_what_torch_saves_is_read_and_said(tmp_path: Path, content: Any, remarks: tuple[str, ...]) -> None:
    found = read_checkpoint(saved(tmp_path, content), SPEC)
    assert (found.weights, found.remarks) == (WANTED, remarks)


def test_counters_of_batch_norms_may_be_missing(tmp_path: Path) -> None:
    assert read_checkpoint(saved(tmp_path, without("num_batches_tracked")), SPEC).weights == WANTED


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda: without("classifier.0.bias"), "missing: classifier.0.bias"),
        (lambda: {**STATE, "head.weight": torch.zeros(1)}, "surplus: head.weight"),
        (
            lambda: {**STATE, "classifier.0.bias": torch.zeros(10)},
            r"of another shape: classifier.0.bias \(10,\), wanted \(4,\)",
        ),
        (
            lambda: {"a": torch.zeros(1)},
            r"missing: features\.0\.weight, .* and \d+ more; surplus: a",
        ),
        (lambda: {**STATE, "classifier.0.bias": torch.full((4,), float("nan"))}, "not finite: classifier.0.bias"),
        (lambda: {"epoch": 3, "student": STATE}, "no state dict: it holds the entries epoch, student"),
        (lambda: {"ema": STATE, "model_ema": STATE}, "several averages of weights"),
        (lambda: [1, 2], "no state dict: it holds an object of type list"),
        (lambda: {}, "no state dict"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path: Path, content: Callable[[], Any], said: str) -> None:
    with pytest.raises(ModelError, match=said) as error:
        read_checkpoint(saved(tmp_path, content()), SPEC)
    assert error.value.hint


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_names_that_begin_like_a_wrapper_are_kept_where_the_net_has_them(tmp_path: Path, prefix: str) -> None:
    spec = ModelSpec(name="tests.nets:wrapped", in_channels=1, image_size=8, num_classes=4)
    net = build_model(spec, seed=7)
    state = {prefix + name.removeprefix("module." if not prefix else ""): t for name, t in net.state_dict().items()}
    assert read_checkpoint(saved(tmp_path, state), spec).weights == weights_to_bytes(net)


def test_negative_variances_are_named(tmp_path: Path) -> None:
    spec = ModelSpec(name="plain4", in_channels=1, image_size=8, num_classes=4)
    state = build_model(spec, seed=7).state_dict()
    name = next(name for name in state if name.endswith("running_var"))
    state[name][2] = -1e-3
    with pytest.raises(ModelError, match=f"holds negative variances, .*: {name}"):
        read_checkpoint(saved(tmp_path, state), spec)


def test_numbers_of_another_kind_are_refused(tmp_path: Path) -> None:
    content = {**STATE, "classifier.0.bias": torch.zeros(4, dtype=torch.int64)}
    with pytest.raises(ModelError, match=r"of another kind: classifier\.0\.bias is integer, wanted floating point"):
        read_checkpoint(saved(tmp_path, content), SPEC)


@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_a_file_that_was_cut_off_is_damaged(tmp_path: Path, kept: float) -> None:
    path = saved(tmp_path, STATE)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ModelError, match="is damaged"):
        read_checkpoint(path, SPEC)


def test_a_mask_that_a_net_begins_with_is_no_broken_weight(tmp_path: Path) -> None:
    spec = ModelSpec(name="tests.nets:masked", in_channels=1, image_size=8, num_classes=4)
    net = build_model(spec, seed=7)
    assert read_checkpoint(saved(tmp_path, net.state_dict()), spec).weights == weights_to_bytes(net)


def test_a_pickled_net_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds Python objects \(tasearch\.models\.plain_cnn\.PlainCNN\)"):
        read_checkpoint(saved(tmp_path, NET), SPEC)


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="would run code from the file"):
        read_checkpoint(saved(tmp_path, {"model": STATE, "x": _Evil(tmp_path / "ran")}), SPEC)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "data", [b"", b"no checkpoint", b"PK\x03\x04broken", b"\x80\x02broken", b"\x09\0\0\0\0\0\0\0{broken"]
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "teacher.pt").write_bytes(data)
    with pytest.raises(ModelError):
        read_checkpoint(tmp_path / "teacher.pt", SPEC)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere\.pt cannot be read: No such file"):
        read_checkpoint(tmp_path / "nowhere.pt", SPEC)


def test_counters_of_tools_beside_the_weights_are_left_out(tmp_path: Path) -> None:
    net = build_model(SPEC, seed=3)
    state = {f"module.{name}": tensor for name, tensor in net.state_dict().items()}
    torch.save({**state, "n_averaged": torch.tensor(3), "module.total_ops": torch.zeros(1)}, tmp_path / "a.pt")
    assert read_checkpoint(tmp_path / "a.pt", SPEC).weights == weights_to_bytes(net)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "it holds nothing"),
        (3, "it holds an object of type int"),
        ("two", "several averages of weights (model_ema, ema)"),
    ],
)
def test_what_holds_no_weights_of_one_net_is_said_to(tmp_path: Path, content: Any, said: str) -> None:
    if content == "two":
        state = dict(build_model(SPEC, seed=3).state_dict())
        content = {"ema": state, "model_ema": state}
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ModelError) as error:
        read_checkpoint(tmp_path / "a.pt", SPEC)
    assert said in error.value.message
