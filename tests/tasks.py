"""Tasks carried out one after another by something that only answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tasearch.chain.tasks import Delivered, Need, Task
from tasearch.domain.result import StageResult
from tasearch.domain.spec import StageSpec


class Answer(Protocol):
    """Gives the result of a stage, or raises."""

    def __call__(self, spec: StageSpec, *, wait: bool) -> StageResult: ...


def carry_out(next_task: Callable[[], Task | None], answer: Answer) -> None:
    """Carry out every task to its end, as `StageRunner.run_tasks` does in a pack of one."""
    while (task := next_task()) is not None:
        finish(task, answer)


def finish(task: Task, answer: Answer) -> None:
    """Carry out one task to its end."""
    try:
        need: Need = next(task)
        while True:
            try:
                result = answer(need.spec, wait=need.wait)
            except Exception as error:
                need = task.throw(error)
            else:
                need = task.send(Delivered(result=result, reused=False))
    except StopIteration:
        return
