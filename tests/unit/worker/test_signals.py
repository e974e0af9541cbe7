from __future__ import annotations

import os
import signal

import pytest

from tasearch.stores import hurry
from tasearch.worker.signals import stop_on_signals


@pytest.mark.parametrize(("signum", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_sets_the_flag_with_the_shells_exit_code(signum: int, exit_code: int) -> None:
    with stop_on_signals() as flag:
        flag.is_watched = True
        assert not flag.is_set
        os.kill(os.getpid(), signum)
        assert (flag.is_set, flag.exit_code) == (True, exit_code)


@pytest.mark.parametrize(("signum", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_while_nobody_watches_the_flag_a_signal_interrupts_at_once(signum: int, exit_code: int) -> None:
    with stop_on_signals() as flag:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signum)
        assert flag.exit_code == exit_code


def test_the_former_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_after_a_signal_nobody_waits_long_for_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hurry, "GRACE_SECONDS", 0.0)
    with stop_on_signals() as flag:
        flag.is_watched = True
        assert not hurry.is_out_of_time()
        os.kill(os.getpid(), signal.SIGTERM)
        hurry.pause(600.0)
        assert hurry.is_out_of_time()
    assert not hurry.is_out_of_time()
