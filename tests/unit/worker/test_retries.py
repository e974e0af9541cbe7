from __future__ import annotations

from collections.abc import Generator

import pytest

from tasearch.chain.tasks import Delivered, Need
from tasearch.domain.errors import ArtifactError, StageFailedError
from tasearch.training.loop import InterruptedStage
from tasearch.worker.retries import reason_of, with_retries


class Call:
    """Raises one error after another, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.tries = list(errors), 0
        self.said: list[str] = []

    def __call__(self) -> Generator[Need, Delivered, str]:
        self.tries += 1
        yield from ()
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def outcome(task: Generator[Need, Delivered, str]) -> str:
    """Return what a task returns that needs no stage."""
    with pytest.raises(StopIteration) as ended:
        next(task)
    return str(ended.value.value)


def test_an_error_that_may_pass_is_tried_again_and_said() -> None:
    call = Call(MemoryError("no room"), ArtifactError("damaged"))
    assert outcome(with_retries(call, 2, call.said.append)) == "done"
    assert call.said == [
        "tried again (1 of at most 2): MemoryError: no room",
        "tried again (2 of at most 2): ArtifactError: damaged",
    ]


def test_the_last_error_is_raised() -> None:
    call = Call(RuntimeError("first"), RuntimeError("second"))
    with pytest.raises(RuntimeError, match="second"):
        next(with_retries(call, 1, call.said.append))


@pytest.mark.parametrize("error", [StageFailedError("diverged"), InterruptedStage(), KeyError("defect")])
def test_what_will_not_pass_is_raised_at_once(error: Exception) -> None:
    call = Call(error)
    with pytest.raises(type(error)):
        next(with_retries(call, 2, call.said.append))
    assert call.tries == 1


def test_the_reason_of_a_failed_stage_is_its_message() -> None:
    assert reason_of(StageFailedError("diverged in epoch 2", hint="a smaller --learning-rate")) == "diverged in epoch 2"
