"""The model card of an export: the facts of `model.json` as Markdown that people read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tasearch.domain.metric import ACCURACY, in_words
from tasearch.domain.spec import spelled
from tasearch.training.export import ONNX, SAFETENSORS, TORCH_EXPORT

_LOADING = {
    SAFETENSORS: """\
`model.safetensors` and `{module}.py` (PyTorch; `pip install {packages}`), in this folder{own_code}:

```python
import torch
from {module} import load

logits = load()(torch.rand(1, {shape}))
```
""",
    TORCH_EXPORT: """\
`model.pt2` (PyTorch; `pip install torch`):

```python
import torch

model = torch.export.load("model.pt2").module()
logits = model(torch.rand(1, {shape}))
```
""",
    ONNX: """\
`model.onnx` (`pip install onnxruntime`, or any other runtime of ONNX):

```python
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
(logits,) = session.run(["logits"], {{"images": np.random.rand(1, {shape}).astype(np.float32)}})
```
""",
}

OWN_CODE = """.
The network is built by your own function `{name}`: its module must be importable there. The other formats need no code
of yours. Then"""


def card(facts: Mapping[str, Any]) -> str:
    """Return the card. Names that users chose are escaped: they are shown, never interpreted."""
    parts = [
        f"# {escaped(facts['model']['name'])}, {_origin(facts)}",
        _accuracy(facts),
        _usage(facts),
        _preparation(facts),
        _data(facts),
        _checks(facts),
        _reproduction(facts),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def escaped(text: str) -> str:
    """Return text that Markdown and HTML show as it is, on one line."""
    one_line = "".join(character if character.isprintable() else " " for character in text)
    html = one_line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~$:@])", r"\\\1", html)


def _fenced(text: str) -> str:
    """Return text as a code block that it cannot end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{text}\n{fence}"


def _origin(facts: Mapping[str, Any]) -> str:
    return "trained from labels" if not facts["temperatures"] else "distilled"


def _accuracy(facts: Mapping[str, Any]) -> str:
    model, finals, stage = facts["model"], facts["finals"], facts["stage"]
    lines = [f"- Model: {escaped(model['name'])}, {model['num_params']:,} parameters, {model['macs']:,} MACs per image"]
    if facts["latency"] is not None and facts["latency"]["timings"]:
        lines.append(f"- Latency: {_latency(facts['latency'])}")
    lines.append(f"- Chain: {escaped(_chain(facts))}")
    accuracy, measure = facts["accuracy"], in_words(facts["metric"])
    if facts["metric"] != ACCURACY:
        lines.append(f"- Every number below is {measure}: the mean over the classes of the share that is right.")
    which = "the search" if stage["replicate"] == 0 else f"replicate {stage['replicate']} of the finals"
    test = "test was not opened for it" if accuracy["test"] is None else f"test {_percent(accuracy['test'])}"
    lines.append(f"- This network ({which}): val {_percent(accuracy['val'])}, {test}")
    if finals is None:
        lines.append(
            f"- It took no part in the finals: its val {measure} is one run's, seen by the search, and "
            "likely flattering."
        )
        return "\n".join(lines)
    runs = f"mean of n = {finals['n']} replicates under one teacher"
    lines.append(f"- Mean on val: {_with_interval(finals['val'], signed=False)}, {runs}")
    if finals["test"] is not None:
        lines.append(f"- Mean on test: {_with_interval(finals['test'], signed=False)}, {runs}")
    for name, words in (("versus_blkd", "direct distillation"), ("versus_nokd", "no distillation")):
        if finals[name] is not None:
            difference = _with_interval(finals[name], signed=True)
            lines.append(f"- Test against {words}: {difference}, n = {finals[name]['n']} replicates")
    if finals["n"] > 1:
        lines.append(
            f"- Of the replicates the one with the best val {measure} is exported, so its own val {measure} is likely "
            "flattering; expect what the mean on test says."
        )
    if facts["verdict"] is not None:
        lines.append(f"- The study's verdict: {escaped(facts['verdict'])}")
    return "\n".join(lines)


def _latency(found: Mapping[str, Any]) -> str:
    times = " and ".join(
        f"{1000 * one['median']:.3g} ms for {one['batch']} image{'s' * (one['batch'] > 1)} (median of {one['runs']})"
        for one in found["timings"]
    )
    return (
        f"{times}, one forward pass in torch {escaped(found['torch_version'])} (eager, float32) on "
        f"{escaped(found['device'])}, CPU threads: {found['threads']}"
    )


def _chain(facts: Mapping[str, Any]) -> str:
    if not facts["temperatures"]:
        return "none (NOKD: labels only)"
    return (
        f"{' > '.join(facts['path'])} (temperature {_each(facts['temperatures'])}, KD weight "
        f"{_each(facts['kd_weights'])})"
    )


def _each(values: list[float]) -> str:
    return " / ".join(spelled(value) for value in (values[:1] if len(set(values)) == 1 else values))


def _usage(facts: Mapping[str, Any]) -> str:
    _, *shape = facts["input"]["shape"]
    numbers = facts["normalisation"]
    shown = ", ".join(str(size) for size in shape)
    whose = "" if numbers["given"] else " of the training images"
    needs = facts["model"]["needs"]
    own = "" if needs["own_code"] is None else OWN_CODE.format(name=needs["own_code"])
    packages = " ".join(needs["packages"])
    loading = "\n".join(
        _LOADING[format_].format(shape=shown, packages=packages, own_code=own, module=needs["module"])
        for format_ in facts["formats"]
    )
    rows = "\n".join(f"| {index} | {escaped(name)} |" for index, name in enumerate(facts["class_names"]))
    return f"""## Use

Input `images`: float32 (N, {shown}), any N, values in [0, 1] as torchvision's `ToTensor` gives them. Output `logits`:
float32 (N, {facts["output"]["shape"][1]}), one column per class. Normalisation is inside: mean
{_numbers(numbers["mean"])} and standard deviation {_numbers(numbers["std"])} of the channels{whose}.
Do not normalise before.

{loading}
| column | class |
|---|---|
{rows}"""


def _preparation(facts: Mapping[str, Any]) -> str:
    """Return how a picture becomes what the network takes: text and code of what was done to the study's images."""
    _, channels, size, _ = facts["input"]["shape"]
    converted = (
        'image.convert("L")'
        if channels == 1
        else 'Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("RGB")'
    )
    array = "image, dtype=np.float32)[None]" if channels == 1 else "image, dtype=np.float32).transpose(2, 0, 1)"
    grey = (
        "Images are grey, one channel."
        if channels == 1
        else "Grey stands for red, green and blue; alpha and transparent parts are laid on white."
    )
    remarks = "".join(f"\n- {escaped(remark)}" for remark in facts["preparation"]["remarks"])
    seen = f"\n\nOf the study's own images:\n{remarks}" if remarks else ""
    return f"""## Preparing an image

The study's images were {size} x {size}; of any other the shorter side is resized to {size} (bilinear, averaging over
the pixels that disappear), then the centre taken. {grey} Of 16-bit grey the upper 8 bits count.

```python
import numpy as np
from PIL import Image


def prepared(path):
    image = Image.open(path)
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    image = {converted}
    side = min(image.size)
    left, top = ((length - side) / 2 for length in image.size)
    box = (left, top, left + side, top + side)
    image = image.resize(({size}, {size}), Image.Resampling.BILINEAR, box=box)
    return np.asarray({array}[None] / 255
```

The study let JPEG decode at half, a quarter or an eighth of its size where that is still at least {2 * size} pixels,
which is faster and differs by little.{seen}"""


def _data(facts: Mapping[str, Any]) -> str:
    data, recipe = facts["data"], facts["recipe"]
    bfloat16 = (
        " Trained, and measured above, under bfloat16 autocast; the exported network computes in float32."
        if recipe["precision"] == "bfloat16"
        else ""
    )
    return f"""## Data and training

{escaped(data["name"])}: {data["num_train"]:,} training, {data["num_val"]:,} val, {data["num_test"]:,} test images
(train and val SHA-256 {data["content_hash"][:16]}, test {data["test_hash"][:16]}).
{recipe["epochs"]} epoch{"s" * (recipe["epochs"] != 1)} a stage.{bfloat16}
The network was chosen on val; test had no say."""


def _checks(facts: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f"| {one['format']} | {escaped(one['runtime'])} | {one['num_images']:,} | {one['max_difference']:.2g} | "
        f"{one['tolerance']:.2g} | {100 * one['agreement']:.2f}% |"
        for one in facts["checks"]
    )
    return f"""## What was checked

Each format was loaded back and compared with the network as it was trained (PyTorch, float32) on images of val, and of
train where val has fewer than 1,000: one in a batch of its own, the others in batches of up to 100.

| format | run by | images | largest difference of a logit | allowed | same class |
|---|---|---|---|---|---|
{rows}"""


def _reproduction(facts: Mapping[str, Any]) -> str:
    trained, exported = facts["versions"]["trained"], facts["versions"]["exported"]
    place = facts["environment"]
    where = "" if place is None else f" on {escaped(place['device'])}, CPU threads: {place['threads']},"
    for earlier in place.get("earlier", ()) if place else ():
        where += f" begun on {escaped(earlier['device'])}, CPU threads: {earlier['threads']},"
    commands = f"{facts['commands']['study']}\n{facts['commands']['export']}"
    how = "To reproduce:"
    if "object:" in commands:
        # No other process has them.
        how = (
            "To reproduce: from Python, by `tasearch.optimize` and `tasearch.export_student`, with the objects that "
            "this study was given (`object:NAME` stands for each of them below) and these settings:"
        )
    return f"""## Where it comes from

Study {escaped(facts["study_name"])}, stage {facts["stage"]["fingerprint"][:16]}, weights SHA-256
{facts["stage"]["artifact_id"]}, trained{where} with {_versions(trained)}; exported {facts["created_at"]} with
{_versions(exported)}. `model.json` has all of this for programs. {how}

{_fenced(commands)}"""


def _versions(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {escaped(value)}" for name, value in found.items())


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}%"


def _with_interval(value: Mapping[str, Any], *, signed: bool) -> str:
    """Return `70.61%, 95% CI [70.02, 71.20]`, a difference in points."""
    mean = f"{100 * value['mean']:+.2f} points" if signed else _percent(value["mean"])
    if value["ci_low"] is None:
        return f"{mean}, no interval"
    return f"{mean}, 95% CI [{100 * value['ci_low']:.2f}, {100 * value['ci_high']:.2f}]"
