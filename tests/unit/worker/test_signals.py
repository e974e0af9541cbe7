from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

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


@pytest.mark.parametrize("gap", [0.0, 0.2])
def test_a_second_signal_ends_the_process_even_during_one_long_call(gap: float) -> None:
    # Python runs no handler before a call of C comes back; the thread that is paused must not be the one that counts.
    script = (
        "import hashlib\n"
        "from tasearch.worker.signals import stop_on_signals\n"
        "with stop_on_signals() as flag:\n"
        "    flag.is_watched = True\n"
        "    print('ready', flush=True)\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process:
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        time.sleep(gap)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130


def test_what_does_not_answer_is_not_waited_for_after_a_signal() -> None:
    script = (
        "import hashlib\n"
        "from tasearch.worker import signals\n"
        "signals.MOST_SECONDS = 1.0\n"
        "with signals.stop_on_signals() as flag:\n"
        "    flag.is_watched = True\n"
        "    print('ready', flush=True)\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
        assert b"ended at once" in process.stderr.read()
