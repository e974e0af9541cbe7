"""Images per second of resnet8 stages on a GPU, one and several at once, against loops written by hand.

    python tests/bench/gpu_packs.py [--json] [--student resnet8] [--packs 1,2,4,8,16,32] [--sections ...]

Random 32 x 32 images, as many as CIFAR-10 leaves for training (45,000, and 5,000 for val), shifts and flips, batches of
128, bfloat16. Our stages are taught by tables of logits, evaluate on val and are the product's own code. Sections:

- `packs`: packs of stages, images per second over all of them, medians of three rounds that take turns;
- `loops`: the paper's loop (DataLoader, teacher inside autograd) and a tidy loop with AMP (data on the GPU), resnet20
  teaching online; and the tidy loop in several processes at once, each with its share of the GPU;
- `processes`: our stage in several processes, with MPS where the machine has it;
- `fused`: several nets as one by `torch.func` (vmap over stacked weights), recorded as a graph;
- `limit`: what the card's matrix rate and its memory bandwidth, both measured here, would allow for this net;
- `full`: one whole stage of 160 epochs.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tasearch.data.views import ViewSource, channel_statistics
from tasearch.models.capacity import capacity
from tasearch.models.registry import build_model
from tasearch.training.device import configure
from tasearch.training.graphs import StepGraphs, recorded
from tasearch.training.loop import StageData, StageJob
from tasearch.training.pack import fit_pack
from tests.bench.loops import paper_loop, tuned_loop
from tests.bench.random_stages import CLASSES, Unwatched, model, random_data, random_split, sgd, taught_stage

BATCH, NUM_TRAIN, NUM_VAL = 128, 45_000, 5_000
LOOP_SECONDS = 4.0
SECTIONS = ("limit", "packs", "full", "loops", "fused", "processes")
DATA = random_data(num_train=NUM_TRAIN, num_val=NUM_VAL)


class Stages:
    """Stages of one student on this GPU."""

    def __init__(self, student: str, device: torch.device) -> None:
        self.device = device
        configure(device, torch.get_num_threads())
        self.split = random_split(NUM_TRAIN)
        statistics = channel_statistics(self.split)
        self.source = ViewSource(self.split, DATA, statistics, device)
        val = ViewSource(random_split(NUM_VAL), DATA, statistics, device)
        self.data, self.graphs = StageData(train=self.source, val=val), StepGraphs(device)
        self.table = torch.randn(NUM_TRAIN, CLASSES).half().to(device)
        recipe = sgd("bfloat16", epochs=1, batch_size=BATCH)
        self.spec = taught_stage("resnet20", student, DATA, recipe, temperature=4.0, kd_weight=0.9)

    def seconds(self, pack: int, epochs: int) -> float:
        """Return the time of a pack of stages of some epochs, val included."""
        recipe = dataclasses.replace(self.spec.recipe, epochs=epochs)
        specs = [dataclasses.replace(self.spec, recipe=recipe, replicate=number) for number in range(pack)]
        jobs = [StageJob(spec=spec, control=Unwatched(), teacher_logits=lambda _: self.table) for spec in specs]
        torch.cuda.synchronize()
        started = time.perf_counter()
        for outcome in fit_pack(jobs, self.data, self.device, graphs=self.graphs):
            if isinstance(outcome, Exception):
                raise outcome
        return time.perf_counter() - started

    def rate(self, pack: int, epochs: int) -> float:
        """Return images per second over all stages of a pack."""
        return pack * epochs * NUM_TRAIN / self.seconds(pack, epochs)


def packs(stages: Stages, sizes: list[int]) -> dict[str, Any]:
    """Return images per second of packs of these sizes, and the gain over one stage."""
    for size in sizes:
        stages.seconds(size, 1)
    rates: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(3):
        for size in sizes:
            rates[size].append(stages.rate(size, max(2, 8 // size)))
    found = {size: median(values) for size, values in rates.items()}
    spread = {size: max(values) / min(values) for size, values in rates.items()}
    return {
        "images_per_second": found,
        "gain": {size: rate / found[1] for size, rate in found.items() if 1 in found},
        "max_over_min": spread,
        "bytes_reserved": torch.cuda.max_memory_reserved(),
    }


def full(stages: Stages) -> dict[str, float]:
    """Return the seconds of whole stages of 160 epochs: one alone."""
    return {"epochs": 160, "seconds": stages.seconds(1, 160)}


def loop_rate(steps: Iterator[None], seconds: float = LOOP_SECONDS) -> float:
    """Return images per second of a loop after five steps that are not counted."""
    for _ in range(5):
        next(steps)
    torch.cuda.synchronize()
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for _ in range(10):
            next(steps)
        count += 10
        torch.cuda.synchronize()
    return count * BATCH / (time.perf_counter() - started)


def loops(stages: Stages, counts: list[int]) -> dict[str, Any]:
    """Return images per second of the loops written by hand, and of the tidy one in several processes together."""
    teacher, student, split = model("resnet20"), stages.spec.student, stages.split
    found: dict[str, Any] = {
        "paper": loop_rate(paper_loop(teacher, student, split.images, split.labels, 4, stages.device)),
        "amp": loop_rate(tuned_loop(teacher, student, stages.source, torch.bfloat16)),
    }
    found["amp_processes"] = {count: in_processes(_amp_process, stages.spec.student.name, count) for count in counts}
    return found


def in_processes(target: Callable[..., None], student: str, count: int) -> float:
    """Return images per second over some processes that begin to count together."""
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(count), context.Queue()
    workers = [context.Process(target=target, args=(student, barrier, answers), daemon=True) for _ in range(count)]
    for worker in workers:
        worker.start()
    rates = [answers.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    return float(sum(rates))


def _amp_process(student: str, barrier: Any, answers: Any) -> None:
    stages = Stages(student, torch.device("cuda"))
    steps = tuned_loop(model("resnet20"), stages.spec.student, stages.source, torch.bfloat16)
    for _ in range(5):
        next(steps)
    barrier.wait()
    answers.put(loop_rate(steps))


def _stage_process(student: str, barrier: Any, answers: Any) -> None:
    stages = Stages(student, torch.device("cuda"))
    stages.seconds(1, 1)
    barrier.wait()
    answers.put(stages.rate(1, 8))


def processes(stages: Stages, counts: list[int]) -> dict[str, Any]:
    """Return images per second of our stage in several processes, without and with MPS."""
    student = stages.spec.student.name
    found: dict[str, Any] = {"plain": {count: in_processes(_stage_process, student, count) for count in counts}}
    if shutil.which("nvidia-cuda-mps-control") is None:
        return {**found, "mps": "nvidia-cuda-mps-control is not on this machine"}
    with _mps():
        found["mps"] = {count: in_processes(_stage_process, student, count) for count in counts}
    return found


@contextlib.contextmanager
def _mps() -> Iterator[None]:
    """Have processes that start meanwhile share the GPU through a server of their own."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        subprocess.run(["nvidia-cuda-mps-control", "-d"], check=True, timeout=30)
        try:
            yield
        finally:
            subprocess.run(["nvidia-cuda-mps-control"], input=b"quit\n", check=False, timeout=60)
            del os.environ["CUDA_MPS_PIPE_DIRECTORY"], os.environ["CUDA_MPS_LOG_DIRECTORY"]


def fused(stages: Stages, sizes: list[int]) -> dict[int, float | str]:
    """Return images per second of several students as one net: forward, loss, backward and SGD in one graph.

    All of it in bfloat16, batch norm without running statistics, a plain loss: less than a stage does.
    """
    found: dict[int, float | str] = {}
    for size in sizes:
        try:
            found[size] = _fused_rate(stages, size)
        except RuntimeError as error:
            found[size] = str(error).splitlines()[0]
    return found


def _fused_rate(stages: Stages, size: int) -> float:
    nets = []
    for number in range(size):
        net = build_model(stages.spec.student, seed=number).to(stages.device)
        for norm in (module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)):
            norm.track_running_stats, norm.running_mean, norm.running_var = False, None, None
            norm.num_batches_tracked = None
        nets.append(net.to(memory_format=torch.channels_last).train())
    weights, buffers = torch.func.stack_module_state(nets)
    momentum = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    images = torch.randn(size, BATCH, 3, 32, 32, device=stages.device, dtype=torch.bfloat16)
    targets = torch.randint(0, CLASSES, (size, BATCH), device=stages.device)

    def loss(weight: dict[str, Tensor], buffer: dict[str, Tensor], inputs: Tensor, labels: Tensor) -> Tensor:
        half = {name: value.bfloat16() for name, value in weight.items()}
        logits = torch.func.functional_call(nets[0], (half, buffer), (inputs,))
        return F.cross_entropy(logits.float(), labels)

    def step() -> None:
        gradients = torch.func.vmap(torch.func.grad(loss))(weights, buffers, images, targets)
        for name, gradient in gradients.items():
            momentum[name].mul_(0.9).add_(gradient)
            weights[name].detach().add_(momentum[name], alpha=-0.01)

    with torch.no_grad():
        graph = recorded(step, torch.cuda.Stream(stages.device))  # type: ignore[no-untyped-call]
    graph.replay()
    torch.cuda.synchronize()
    started, rounds = time.perf_counter(), 0
    while time.perf_counter() - started < 1.0:
        for _ in range(10):
            graph.replay()
        torch.cuda.synchronize()
        rounds += 10
    return rounds * size * BATCH / (time.perf_counter() - started)


def limit(stages: Stages) -> dict[str, float]:
    """Return what the card does at best, and the images per second that this allows for the student.

    A training image takes three forward passes of multiply-accumulates; and in each of forward and backward every
    convolution's output is at least written once and read once, in two bytes a number.
    """
    side = 8192
    left, right = (torch.randn(side, side, device=stages.device, dtype=torch.bfloat16) for _ in range(2))
    matrix = 2 * side**3 / _best(lambda: left @ right)
    source = torch.randn(1 << 29, device=stages.device)
    target = torch.empty_like(source)
    bandwidth = 2 * source.numel() * 4 / _best(lambda: target.copy_(source))
    operations = 3 * 2 * capacity(stages.spec.student).macs
    moved = 2 * 2 * 2 * _outputs(stages)
    return {
        "matrix_tflops": matrix / 1e12,
        "bandwidth_tb_per_second": bandwidth / 1e12,
        "images_per_second_by_arithmetic": matrix / operations,
        "images_per_second_by_memory": bandwidth / moved,
    }


def _outputs(stages: Stages) -> int:
    """Return how many numbers the convolutions put out for one image."""
    counts: list[int] = []
    net = build_model(stages.spec.student, seed=0)
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda _module, _inputs, output: counts.append(output.numel()))
    with torch.no_grad():
        net.eval()(torch.zeros(1, 3, 32, 32))
    return sum(counts)


def _best(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(8):
        torch.cuda.synchronize()
        started = time.perf_counter()
        work()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return median(seconds[2:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--student", default="resnet8")
    parser.add_argument("--packs", default="1,2,4,8,16,32")
    parser.add_argument("--processes", default="4,16")
    parser.add_argument("--sections", default=",".join(SECTIONS))
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("this needs a GPU: torch sees none")
    device = torch.device("cuda")
    sizes, counts = ([int(part) for part in text.split(",")] for text in (options.packs, options.processes))
    stages = Stages(options.student, device)
    sections: dict[str, Callable[[], Any]] = {
        "limit": lambda: limit(stages),
        "packs": lambda: packs(stages, sizes),
        "full": lambda: full(stages),
        "loops": lambda: loops(stages, counts),
        "fused": lambda: fused(stages, [size for size in sizes if size in (8, 16)]),
        "processes": lambda: processes(stages, counts),
    }
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device),
        "torch": torch.__version__,
        "student": options.student,
    }
    for name in options.sections.split(","):
        started = time.perf_counter()
        found[name] = sections[name]()
        print(f"{name} ({time.perf_counter() - started:.0f} s): {found[name]}", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
