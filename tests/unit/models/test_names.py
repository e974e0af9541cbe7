"""Names are read without building anything."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tasearch.domain.errors import ModelError
from tasearch.models.names import Kind, check_names, family_of, kind_of, short


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("resnet20", Kind.OWN),
        ("torchvision:resnet50", Kind.TORCHVISION),
        ("timm:vit_tiny_patch16_224.augreg_in21k", Kind.TIMM),
        ("mypkg.models:make_net", Kind.CALLABLE),
        ("nets:Family.small", Kind.CALLABLE),
        ("object:mine", Kind.OBJECT),
    ],
)
def test_a_name_says_where_a_net_comes_from(name: str, kind: Kind) -> None:
    assert kind_of(name) is kind


@pytest.mark.parametrize(
    "name", ["resnet9", "plain3", "unet", "my-pkg:net", "nets:", ":net", "nets:a b", "torchvision:"]
)
def test_what_can_be_no_name_is_refused_with_what_can(name: str) -> None:
    with pytest.raises(ModelError) as error:
        check_names(["plain2", name])
    assert error.value.hint


def test_other_nets_are_families_of_their_kind() -> None:
    assert (family_of("plain4"), family_of("timm:resnet18"), family_of("nets:a")) == ("plain", "timm", "callable")


def test_the_short_name_leaves_out_the_place() -> None:
    assert [short(name) for name in ("timm:resnet50", "mypkg.models:make", "plain2")] == ["resnet50", "make", "plain2"]


def test_names_are_read_without_torch() -> None:
    code = "import sys, tasearch.models.names, tasearch.cli.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
