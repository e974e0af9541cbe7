from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from tasearch.data.decode import decode
from tasearch.worker.model_card import card, escaped

EVIL = "<script>x</script> | *bold* `code` [link](http://x)\n# heading ```\n"


def facts(**changes: Any) -> dict[str, Any]:
    interval = {"mean": 0.7, "ci_low": 0.69, "ci_high": 0.71, "n": 5}
    return {
        "study_name": "pets",
        "created_at": "2026-11-01T12:00:00+00:00",
        "model": {
            "name": "plain2",
            "num_params": 5114,
            "macs": 186_880,
            "needs": {"packages": ["torch", "safetensors"], "own_code": None, "module": "model"},
        },
        "metric": "accuracy",
        "latency": None,
        "path": ["plain10", "plain4", "plain2"],
        "temperatures": [4.0, 8.0],
        "kd_weights": [0.9, 0.9],
        "stage": {"fingerprint": "f" * 64, "artifact_id": "a" * 64, "replicate": 3},
        "accuracy": {"val": 0.712, "test": 0.705},
        "finals": {
            "n": 5,
            "val": interval,
            "test": interval,
            "versus_blkd": {"mean": 0.009, "ci_low": 0.004, "ci_high": 0.014, "n": 5},
            "versus_nokd": None,
        },
        "verdict": "it is the best",
        "data": {
            "name": "pets",
            "content_hash": "c" * 64,
            "test_hash": "d" * 64,
            "num_train": 1000,
            "num_val": 100,
            "num_test": 200,
        },
        "input": {"shape": ["N", 3, 16, 16]},
        "preparation": {"resized_to": 16, "remarks": ["all 9 images: grey, kept as one channel"]},
        "output": {"shape": ["N", 2]},
        "normalisation": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2], "given": False},
        "class_names": ["cat", "dog"],
        "recipe": {"epochs": 10, "precision": "float32"},
        "environment": {"device": "cpu x", "threads": 1},
        "versions": {"trained": {"torch": "2.15"}, "exported": {"torch": "2.15"}},
        "commands": {"study": "tasearch optimize", "export": "tasearch export"},
        "formats": ["safetensors"],
        "checks": [],
        **changes,
    }


def rendered(**changes: Any) -> str:
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(card(facts(**changes))))


@pytest.mark.parametrize("text", [EVIL, "1. list", "a_b_c", "~~gone~~", "&amp;", "\x1b[31mred", "- item", "\\*"])
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    shown = "".join(character if character.isprintable() else " " for character in text).strip()
    html = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert MarkdownIt("commonmark", {"html": True}).render(escaped(text)).strip() == f"<p>{html}</p>"


@pytest.mark.parametrize(
    "changes",
    [
        {"study_name": EVIL},
        {"class_names": [EVIL, "dog"]},
        {"verdict": EVIL},
        {"path": ["t", EVIL]},
        {"data": {**facts()["data"], "name": EVIL}},
        {"commands": {"study": f"tasearch optimize --study-name '{EVIL}'", "export": "e"}},
    ],
)
def test_no_name_changes_the_structure_of_the_card(changes: dict[str, Any]) -> None:
    plain_one, other = rendered(), rendered(**changes)
    for tag in ("<h1", "<h2", "<tr", "<td", "<pre", "<script", "<a ", "<strong", "<ul", "<li"):
        assert other.count(tag) == plain_one.count(tag), tag


def test_numbers_carry_n_and_interval() -> None:
    text = card(facts())
    assert "Mean on test: 70.00%, 95% CI [69.00, 71.00], mean of n = 5 replicates" in text
    assert "Test against direct distillation: +0.90 points, 95% CI [0.40, 1.40], n = 5 replicates" in text
    assert "This network (replicate 3 of the finals): val 71.20%, test 70.50%" in text


def test_the_chain_names_the_pair_of_each_stage() -> None:
    assert "plain10 &gt; plain4 &gt; plain2 \\(temperature 4 / 8, KD weight 0\\.9\\)" in card(facts())


def test_a_student_from_labels_has_no_chain() -> None:
    assert "NOKD\\: labels only" in card(facts(path=["plain2"], temperatures=[], kd_weights=[]))


def test_one_replicate_has_no_interval() -> None:
    one = {"mean": 0.7, "ci_low": None, "ci_high": None, "n": 1}
    text = card(facts(finals={"n": 1, "val": one, "test": one, "versus_blkd": None, "versus_nokd": None}))
    assert "Mean on test: 70.00%, no interval, mean of n = 1 replicates" in text
    assert "likely flattering" not in text


def test_training_in_bfloat16_is_said() -> None:
    assert "under bfloat16 autocast" in card(facts(recipe={"epochs": 10, "precision": "bfloat16"}))
    assert "bfloat16" not in card(facts())


def test_latency_is_told_with_its_place_and_its_runs() -> None:
    timing = {"batch": 64, "median": 0.0123, "low": 0.01, "high": 0.02, "runs": 30}
    found = {"device": "cpu x", "threads": 2, "torch_version": "2.15", "timings": [timing]}
    text = card(facts(latency=found))
    assert "12.3 ms for 64 images (median of 30)" in text
    assert "CPU threads: 2" in text


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P", "I;16"])
@pytest.mark.parametrize("size", [(16, 16), (40, 31), (9, 60)])
def test_the_code_of_the_card_prepares_images_as_the_study_did(
    tmp_path: Path, mode: str, size: tuple[int, int]
) -> None:
    path = tmp_path / "image.png"
    draws = np.random.default_rng(0)
    pixels = draws.integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    deep = draws.integers(0, 65536, (size[1], size[0]), dtype=np.uint16)
    (Image.fromarray(deep) if mode == "I;16" else Image.fromarray(pixels).convert(mode)).save(path)
    code = next(block for block in card(facts()).split("```python\n") if "def prepared" in block).partition("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    assert np.array_equal(names["prepared"](path)[0], decode(str(path), 16).astype(np.float32) / 255)


def test_what_was_done_to_unusual_images_is_said() -> None:
    assert "all 9 images: grey, kept as one channel" in card(facts()).replace("\\", "")


def test_another_metric_is_named_with_its_meaning() -> None:
    text = card(facts(metric="balanced-accuracy"))
    assert "Every number below is balanced accuracy: the mean over the classes" in text
    assert "the best val accuracy" not in text


def test_a_network_of_own_code_says_what_it_takes_to_load_it() -> None:
    model = {
        **facts()["model"],
        "needs": {"packages": ["torch", "safetensors"], "own_code": "nets:tiny", "module": "model"},
    }
    text = card(facts(model=model))
    assert "your own function `nets:tiny`" in text
    assert "your own function" not in card(facts())


def test_objects_of_python_are_reproduced_from_python() -> None:
    commands = {"study": "tasearch optimize --dataset object:Bands", "export": "tasearch export"}
    assert "from Python, by `tasearch.optimize`" in card(facts(commands=commands))
    assert "from Python" not in card(facts())
