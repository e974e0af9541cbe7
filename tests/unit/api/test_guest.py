"""A process that is somebody else's is left as it was."""

from __future__ import annotations

import os
import signal
import threading

import pytest
import torch

from tasearch.api.guest import as_guest, display_of
from tasearch.domain.errors import StoppedError
from tasearch.training.device import configure
from tasearch.training.loop import InterruptedStage


def test_torch_is_as_before() -> None:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with as_guest():
        configure(torch.device("cpu"), before[0] + 1)
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_an_interrupt_is_raised_once_the_work_is_saved() -> None:
    saved = []

    def work() -> None:
        with as_guest() as stop:
            stop.is_watched = True
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.is_set
            saved.append(True)
            raise InterruptedStage

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        work()
    assert saved
    assert signal.getsignal(signal.SIGINT) is handler


def test_before_anything_is_under_way_an_interrupt_is_raised_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), as_guest():
        os.kill(os.getpid(), signal.SIGINT)


def test_a_study_that_was_stopped_is_an_error_of_tasearch() -> None:
    def work() -> None:
        with as_guest() as stop:
            stop.request(signal.SIGTERM)
            raise InterruptedStage

    with pytest.raises(StoppedError):
        work()


def test_another_thread_touches_no_signal() -> None:
    found = []

    def work() -> None:
        with as_guest():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]


def test_nothing_is_said_unless_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    display_of(None).line("done")
    display_of(said.append).line("done")
    assert (said, capsys.readouterr()) == (["done"], ("", ""))
