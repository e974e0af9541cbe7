"""What other code sets for the whole process has no say in a stage."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tasearch.api.guest import as_guest
from tasearch.domain.errors import ModelError
from tasearch.domain.spec import ModelSpec
from tasearch.models.inspection import construct_other, identified
from tasearch.models.switches import SWITCHES, fix_switches, own_switches, refuse_global_hooks, switches_kept
from tasearch.stores.owner import current_owner
from tasearch.training.device import configure
from tests.factories import CPU, make_recipe, make_stage
from tests.unit.chain.test_run import DATASET, make_runner, open_stores

OTHER_VALUES: dict[str, Any] = {
    "the number of threads": 3,
    "the default device": torch.device("meta"),
    "the default dtype": torch.float64,
    "grad mode": False,
    "the type of autocast on cpu": torch.float16,
    "the type of autocast on cuda": torch.bfloat16,
    "the use of deterministic algorithms": (False, False),
    "the precision of float32 matrix products": "medium",
    "oneDNN's precision of float32 matrix products": "bf16",
    "oneDNN's precision of float32 convolutions": "bf16",
    "oneDNN's precision of float32 recurrent layers": "bf16",
    "CUDA's precision of float32 matrix products": "tf32",
    "cuDNN's precision of float32 convolutions": "ieee",
    "cuDNN's precision of float32 recurrent layers": "ieee",
}
STAGE = make_stage(DATASET, teacher=make_stage(DATASET, "plain4", recipe=make_recipe(epochs=1)))


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    with switches_kept():
        yield


def values() -> dict[str, Any]:
    return {switch.name: switch.read() for switch in SWITCHES}


@pytest.mark.parametrize("switch", SWITCHES, ids=lambda switch: switch.name)
def test_a_switch_that_a_block_changes_is_put_back(switch: Any) -> None:
    fix_switches()
    before, other = values(), OTHER_VALUES.get(switch.name, not switch.fixed)
    with switches_kept():
        switch.write(other)
        assert switch.read() == other
    assert values() == before
    switch.write(other)
    with own_switches():
        assert {s.name: s.read() for s in SWITCHES if s.fixed is not None} == {
            s.name: s.fixed for s in SWITCHES if s.fixed is not None
        }
    assert switch.read() == other


@contextmanager
def setting(**changes: Any) -> Iterator[None]:
    for switch in SWITCHES:
        if switch.name.replace(" ", "_") in changes:
            switch.write(changes[switch.name.replace(" ", "_")])
    yield


CALLERS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "with device": lambda: torch.device("meta"),
    "default device": lambda: setting(the_default_device=torch.device("meta")),
    "default dtype": lambda: setting(the_default_dtype=torch.float64),
    "matmul precision": lambda: setting(the_precision_of_float32_matrix_products="medium"),
    "oneDNN off": lambda: setting(the_use_of_oneDNN=False),
    "threads": lambda: setting(the_number_of_threads=2),
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    return trained(tmp_path_factory.mktemp("expected"), nullcontext())


def trained(home: Path, around: AbstractContextManager[Any]) -> str:
    """Return the weights' hash of a taught stage, trained as a call of the Python API is."""
    with around, as_guest():
        configure(CPU, 1)
        return make_runner(open_stores(home), current_owner())[0].run(STAGE).artifact_id


@pytest.mark.parametrize("caller", CALLERS)
def test_a_stage_has_the_same_bits_whatever_its_caller_has_set(caller: str, expected: str, tmp_path: Path) -> None:
    assert trained(tmp_path, CALLERS[caller]()) == expected


MODULE = """
import torch
from torch import nn

torch.set_num_threads(3)
torch.set_default_dtype(torch.float64)
torch.backends.mkldnn.enabled = False
torch.set_float32_matmul_precision("medium")
torch.use_deterministic_algorithms(False)
torch.set_grad_enabled(False)
torch.set_autocast_enabled("cpu", True)
torch.set_default_device("meta")


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        torch.backends.mkldnn.enabled = False
        self.linear = nn.Linear(64, num_classes)

    def forward(self, images):
        logits = self.linear(images.flatten(1))
        torch.set_num_threads(2)
        torch.set_default_dtype(torch.float64)
        return logits


def make(num_classes):
    return Net(num_classes)
"""


def test_what_a_net_sets_when_it_is_imported_called_or_run_changes_no_other_stage(
    expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "sets_switches.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    fix_switches()
    torch.set_num_threads(1)
    before = values()
    with caplog.at_level(logging.WARNING):
        net = construct_other(ModelSpec(name="sets_switches:make", in_channels=1, image_size=8, num_classes=4), seed=0)
    assert isinstance(net, nn.Module)
    assert values() == before
    assert "sets_switches:make sets the number of threads to 3 for the whole process; it was put back to 1" in (
        caplog.text
    )
    runner, _ = make_runner(open_stores(tmp_path))
    runner.run(make_stage(DATASET, "sets_switches:make"))
    assert values() == before
    assert runner.run(STAGE).artifact_id == expected


def test_what_a_module_sets_when_it_is_first_imported_is_put_back_wherever_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    text = "import torch\nfrom tests.nets import small\ntorch.set_num_threads(3)\n"
    (tmp_path / "sets_threads.py").write_text(text + "torch.set_default_dtype(torch.float64)\n")
    monkeypatch.chdir(tmp_path)
    fix_switches()
    torch.set_num_threads(1)
    before = values()
    with caplog.at_level(logging.WARNING):
        identified(ModelSpec(name="sets_threads:small", in_channels=1, image_size=8, num_classes=4))
    assert values() == before
    assert "sets_threads:small sets the default dtype to torch.float64 for the whole process" in caplog.text


def test_a_hook_for_all_modules_is_refused() -> None:
    hook = torch.nn.modules.module.register_module_forward_hook(lambda _module, _inputs, output: 0 * output)
    try:
        with pytest.raises(ModelError, match="a hook for the modules of all nets is registered"):
            refuse_global_hooks()
    finally:
        hook.remove()
    refuse_global_hooks()
