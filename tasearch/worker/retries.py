"""Errors that may pass, such as memory that another process has taken: what is worth another try."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from typing import TypeVar

from tasearch.chain.tasks import Delivered, Need
from tasearch.domain.errors import ArtifactError, StageFailedError, TasearchError
from tasearch.search.storage import SEARCH_ERRORS
from tasearch.stores.database_errors import DATABASE_ERRORS
from tasearch.training.loop import InterruptedStage

T = TypeVar("T")
PASSING_ERRORS = (RuntimeError, MemoryError, OSError, ArtifactError)
"""A trial, a baseline or a run of the finals is tried again after these, `--max-retries` times."""
logger = logging.getLogger(__name__)


def is_of_the_work(error: Exception) -> bool:
    """Whether an error came from what was carried out, a user's net for example: no other try would end otherwise.

    Not a signal, a lease that is lost, or a store that failed: these are about the worker.
    """
    return not isinstance(error, (TasearchError, InterruptedStage, *DATABASE_ERRORS, *SEARCH_ERRORS))


def reason_of(error: BaseException) -> str:
    """Return what is stored of an error."""
    if isinstance(error, StageFailedError):
        return error.message
    said = error.message if isinstance(error, TasearchError) else str(error)
    return f"{type(error).__name__}: {said}"


def with_retries(
    attempt: Callable[[], Generator[Need, Delivered, T]], most: int, say: Callable[[str], None]
) -> Generator[Need, Delivered, T]:
    """Return what the task `attempt` makes returns, made again up to `most` times after an error that may pass.

    `say` is told of each further try. Raises the last error, and at once whatever will not pass.
    """
    for tried in range(1, most + 1):
        try:
            return (yield from attempt())
        except PASSING_ERRORS as error:
            logger.debug("try %d", tried, exc_info=True)
            say(f"tried again ({tried} of at most {most}): {reason_of(error)}")
    return (yield from attempt())
