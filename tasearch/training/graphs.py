"""Captured steps: a student's whole training step as one CUDA graph, launched at once instead of kernel by kernel.

A small net's step is a hundred kernels of microseconds each; launched one by one a GPU mostly waits for the CPU. Here
the step is recorded once per architecture and recipe and then replayed, for one stage after another: weights, momentum,
temperature and KD weight are tensors at fixed places that each stage fills anew. Each recording has a stream of its
own, so several students train side by side, each with exactly the kernels it has alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tasearch.data.views import Views, to_device
from tasearch.domain.fingerprint import plain
from tasearch.domain.spec import StageSpec
from tasearch.models.names import is_own
from tasearch.training.side_gradients import SideGradients
from tasearch.training.student import Student

_WARM_UPS = 3
_BLOCK_BYTES = 1 << 25
"""Views of several steps are cut at once, into this much memory."""

Kind = str
"""What two stages must share to use one recording."""


class StepGraph:
    """One student on a GPU with its recorded step."""

    def __init__(self, spec: StageSpec, device: torch.device) -> None:
        """Build the student of `spec` and record its step; takes a moment. Raises torch.OutOfMemoryError."""
        self.kind = kind_of(spec)
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(self.stream):
            self.student = Student(spec, device)
            self.student.side_gradients = SideGradients(self.student.net, device)
            self._make_block(spec, device)
        self._graph = recorded(self._one_step, self.stream, self._index.zero_)

    def _make_block(self, spec: StageSpec, device: torch.device) -> None:
        """Set up what the next steps read: images channels_last, in the type that autocast would turn them into."""
        model = spec.student
        self._batch = min(spec.recipe.batch_size, spec.data.num_train)
        dtype = torch.float32 if spec.recipe.precision == "float32" else torch.bfloat16
        pixels = model.image_size**2 * model.in_channels
        steps = max(1, spec.data.num_train // spec.recipe.batch_size)
        self._depth = max(1, min(steps, _BLOCK_BYTES // (self._batch * pixels * dtype.itemsize)))
        rows = self._depth * self._batch
        self._shape = (self._batch, model.image_size, model.image_size, model.in_channels)
        self._images = torch.zeros((self._depth, self._batch * pixels), dtype=dtype, device=device)
        self._targets = torch.zeros((self._depth, self._batch), dtype=torch.int64, device=device)
        self._teacher = None
        if spec.distillation is not None:
            self._teacher = torch.zeros((self._depth, self._batch * model.num_classes), device=device)
        self._rates = torch.zeros(self._depth, device=device)
        self._index = torch.zeros(1, dtype=torch.int64, device=device)
        """Of the step within the block."""
        self._rows = rows

    def _one_step(self) -> None:
        """Carry out the step at `_index` and move on; what is recorded."""
        images = self._images.index_select(0, self._index).view(self._shape).permute(0, 3, 1, 2)
        targets = self._targets.index_select(0, self._index).view(-1)
        teacher = None
        if self._teacher is not None:
            teacher = self._teacher.index_select(0, self._index).view(self._batch, -1)
        torch.index_select(self._rates, 0, self._index, out=self.student.rate)
        self.student.step(images, targets, teacher)
        self._index.add_(1)

    def begin(self, spec: StageSpec) -> None:
        """Begin a stage of this kind."""
        self.student.begin(spec)

    def steps(
        self, batches: Sequence[Tensor], views: Views, labels: Tensor, table: Tensor | None, rates: Sequence[float]
    ) -> Iterator[None]:
        """As `Student.steps`, in the same bits; each step is only queued when it is yielded.

        To be advanced with `stream` as the current one.
        """
        rates_there = to_device(torch.tensor(rates, dtype=torch.float32), views.device)
        for first in range(0, len(batches), self._depth):
            block = batches[first : first + self._depth]
            self._fill(torch.cat(list(block)), views, labels, table)
            self._rates[: len(block)].copy_(rates_there[first : first + len(block)])
            self._index.zero_()
            for _ in block:
                self._graph.replay()
                yield

    def _fill(self, indices: Tensor, views: Views, labels: Tensor, table: Tensor | None) -> None:
        """Cut the views of the next steps (samples int64 (steps * B,)) and gather what else they read."""
        count = len(indices)
        images = self._images.view(self._rows, *self._shape[1:])
        images[:count].copy_(views.batch(indices).permute(0, 2, 3, 1))
        torch.index_select(labels, 0, indices, out=self._targets.view(-1)[:count])
        if self._teacher is not None and table is not None:
            self._teacher.view(self._rows, -1)[:count].copy_(table.index_select(0, indices))


def recorded(
    work: Callable[[], None], stream: torch.cuda.Stream, before: Callable[[], object] = lambda: None
) -> torch.cuda.CUDAGraph:
    """Carry out some work on a stream a few times, each after `before`, then return it recorded.

    Raises torch.OutOfMemoryError.
    """
    stream.wait_stream(torch.cuda.current_stream(stream.device))
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            before()
            work()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    # A recording that fails leaves its stream as the current one; the outer block puts back what was.
    # Other threads of this process (the one that renews leases) leave the GPU alone.
    with (
        torch.cuda.stream(torch.cuda.current_stream(stream.device)),
        torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"),
    ):
        work()
    return graph


class StepGraphs:
    """The recordings of one GPU that no stage is using, to be used again."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._idle: dict[Kind, list[StepGraph]] = {}

    def take(self, spec: StageSpec) -> StepGraph:
        """Return a recording for a stage, begun; made where none is idle. Raises torch.OutOfMemoryError."""
        idle = self._idle.get(kind_of(spec))
        graph = idle.pop() if idle else StepGraph(spec, self._device)
        with torch.cuda.stream(graph.stream):
            graph.begin(spec)
        return graph

    def give_back(self, graph: StepGraph) -> None:
        """Keep a recording for the next stage of its kind."""
        self._idle.setdefault(graph.kind, []).append(graph)

    def drop_idle(self) -> bool:
        """Free the memory of all idle recordings; whether there were any."""
        found = any(self._idle.values())
        self._idle.clear()
        return found


def can_be_recorded(spec: StageSpec) -> bool:
    """Whether a stage's step may be recorded: nets of ours by SGD. What other code does between kernels is unknown."""
    return is_own(spec.student.name) and spec.recipe.optimizer == "sgd"


def kind_of(spec: StageSpec) -> Kind:
    """Return what a recording depends on: all but weights, teacher, temperature, KD weight, schedule and draws."""
    recipe = replace(
        spec.recipe, epochs=0, learning_rate=0.0, schedule="", warmup=0.0, milestones=(), initial_weights=""
    )
    taught = None if spec.distillation is None else spec.distillation.kl_reduction
    return repr((plain(spec.student), plain(recipe), spec.data.num_train, taught))
