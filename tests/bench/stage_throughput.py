"""Images per second of a stage: tasearch with and without stored teacher logits against loops written by hand.

    python tests/bench/stage_throughput.py [--json] [--pairs "plain10 > plain2"] [--rounds 3]

All ways see random 32 x 32 images with shifts and flips, batches of 128, no validation, torch's default threads. The
ways of a pair take turns within one run; medians over the rounds are printed, and ratios of tasearch to each. Where the
machine is slower in bfloat16 than in float32 (measured), the tuned loop and the limit are taken in float32: an imitated
bfloat16 would flatter the ratios.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tasearch.data.views import ViewSource, channel_statistics
from tasearch.domain.spec import ModelSpec, StageSpec
from tasearch.models.registry import build_model
from tasearch.training.evaluate import logits_table
from tasearch.training.loop import StageData, fit
from tasearch.training.precision import faster_precision
from tests.bench.loops import BATCH, KD_WEIGHT, TEMPERATURE, paper_loop, tidy_loop, tuned_loop
from tests.bench.random_stages import Unwatched, model, random_data, random_split, sgd, taught_stage

PAIRS = ("plain10 > plain2", "resnet20 > resnet8", "resnet110 > resnet8", "resnet110 > resnet20")
CPU = torch.device("cpu")
STEPS = 8
"""Steps of an epoch of a stage."""
LEAST_STEPS, SECONDS = 2, 3.0
"""A measurement of a loop takes this many steps or this long, whichever is more, after one step not counted."""
DATA = random_data(num_train=STEPS * BATCH, num_val=8)


def measure(pair: str, rounds: int) -> dict[str, object]:
    """Return the figures of one pair, in images per second."""
    teacher, student = (model(name) for name in pair.split(" > "))
    train = random_split(DATA.num_train)
    statistics = channel_statistics(train)
    source = ViewSource(train, DATA, statistics, CPU)
    data = StageData(train=source, val=ViewSource(random_split(DATA.num_val), DATA, statistics, CPU))
    spec = stage(pair, faster_precision([student, teacher], CPU))
    precision = getattr(torch, spec.recipe.precision)
    guide = build_model(teacher, seed=1).to(memory_format=torch.channels_last)

    def table(epoch: int) -> Tensor:
        return logits_table(guide, source.views(0, epoch), precision=spec.recipe.precision, tick=lambda: None)

    stored = {epoch: table(epoch) for epoch in range(1, spec.recipe.epochs + 1)}
    ways: dict[str, Callable[[], float]] = {
        "warm": lambda: stage_rate(spec, data, stored.__getitem__),
        "cold": lambda: stage_rate(spec, data, table),
        "loop_paper": _loop_rate(paper_loop(teacher, student, train.images, train.labels, DATA.shift)),
        "loop_tidy": _loop_rate(tidy_loop(teacher, student, source)),
        "loop_tuned": _loop_rate(tuned_loop(teacher, student, source, precision)),
        "limit": lambda: convolution_rate(student, precision),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            rates[name].append(way())
    found = {name: median(values) for name, values in rates.items()}
    return {"pair": pair, **found, "share_of_limit": found["warm"] / found["limit"], "precision": spec.recipe.precision}


def stage(pair: str, precision: str) -> StageSpec:
    """Return the stage of a pair `teacher > student` that is measured: two epochs."""
    teacher, student = pair.split(" > ")
    recipe = sgd(precision, epochs=2, batch_size=BATCH)
    return taught_stage(teacher, student, DATA, recipe, temperature=TEMPERATURE, kd_weight=KD_WEIGHT)


def convolution_rate(net: ModelSpec, precision: torch.dtype) -> float:
    """Return images per second of the net's convolutions alone, forward and backward, in the better layout."""
    layouts = (torch.contiguous_format, torch.channels_last)
    layers = _convolutions(net)
    return BATCH / min(sum(_convolution_seconds(*layer, precision, layout) for layer in layers) for layout in layouts)


def _convolutions(spec: ModelSpec) -> list[tuple[nn.Conv2d, tuple[int, ...]]]:
    net, found = build_model(spec, seed=0).eval(), []
    hooks = [
        module.register_forward_hook(lambda module, inputs, _: found.append((module, tuple(inputs[0].shape[1:]))))
        for module in net.modules()
        if isinstance(module, nn.Conv2d)
    ]
    with torch.no_grad():
        net(torch.zeros(1, spec.in_channels, spec.image_size, spec.image_size))
    for hook in hooks:
        hook.remove()
    return found


def _convolution_seconds(
    layer: nn.Conv2d, shape: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format
) -> float:
    # The first layer needs no gradient of its input, as in training.
    inputs = torch.randn(BATCH, *shape).to(dtype).contiguous(memory_format=layout).requires_grad_(shape[0] > 3)
    weight = layer.weight.detach().to(dtype).contiguous(memory_format=layout).requires_grad_(True)
    fastest = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        out = F.conv2d(inputs, weight, stride=layer.stride, padding=layer.padding)
        out.backward(torch.ones_like(out))  # type: ignore[no-untyped-call]
        fastest = min(fastest, time.perf_counter() - started)
    return fastest


def stage_rate(spec: StageSpec, data: StageData, logits: Callable[[int], Tensor]) -> float:
    started, stages = time.perf_counter(), 0
    while not stages or time.perf_counter() - started < SECONDS:
        fit(spec, data, CPU, Unwatched(), teacher_logits=logits)
        stages += 1
    return stages * spec.recipe.epochs * DATA.num_train / (time.perf_counter() - started)


def _loop_rate(loop: Iterator[None]) -> Callable[[], float]:
    """Return a measurement that goes on with the same loop: start-up is not counted against it."""

    def rate() -> float:
        next(loop)
        started, steps = time.perf_counter(), 0
        while steps < LEAST_STEPS or time.perf_counter() - started < SECONDS:
            next(loop)
            steps += 1
        return steps * BATCH / (time.perf_counter() - started)

    return rate


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    parser.add_argument("--pairs", nargs="*", default=PAIRS, help="which pairs, as 'teacher > student'")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each way")
    arguments = parser.parse_args()
    found = []
    for pair in arguments.pairs:
        row = measure(pair, arguments.rounds)
        found.append(row)
        if not arguments.json:
            figures = {name: value for name, value in row.items() if isinstance(value, float)}
            print(f"{pair} ({row['precision']}, {torch.get_num_threads()} threads), images/s:")
            print("  " + ", ".join(f"{name} {value:,.0f}" for name, value in figures.items() if value > 1))
            ratios = {name: figures["warm"] / figures[name] for name in ("loop_paper", "loop_tidy", "loop_tuned")}
            cold = figures["cold"] / figures["loop_tuned"]
            print("  warm against " + ", ".join(f"{name} {value:.1f}x" for name, value in ratios.items()), end="")
            print(f"; cold against loop_tuned {cold:.2f}x; share of limit {figures['share_of_limit']:.2f}", flush=True)
    if arguments.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
