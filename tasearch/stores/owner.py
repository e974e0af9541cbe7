"""Who holds a lease: a process on a host, told apart from a later process with the same number."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from pathlib import Path


def current_owner() -> str:
    """Return the identity of this process: `host/place:pid:start`."""
    return f"{_here()}:{os.getpid()}:{_start_of(os.getpid())}"


def is_known_dead(owner: str) -> bool:
    """Whether `owner` was a process of this host that no longer runs; False where that cannot be told."""
    host, _, rest = owner.rpartition(":")[0].rpartition(":")
    start = owner.rpartition(":")[2]
    if host != _here() or not rest.isdigit():
        return False
    pid = int(rest)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return start != "" and _start_of(pid) != start


@functools.cache
def _here() -> str:
    """Return where a process number means something: this host since it was booted, and its PID namespace.

    Containers may share a host name and hosts may be cloned with theirs; a process that cannot be seen from here must
    not be taken for dead.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return platform.node()
    return f"{platform.node()}/{hashlib.sha256(f'{boot} {namespace}'.encode()).hexdigest()[:8]}"


def _start_of(pid: int) -> str:
    """Return the start time of a process in clock ticks since boot, or nothing where the system does not tell.

    A process that has ended and was not yet waited for by its parent has the start time `ended`.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The command name may hold spaces and brackets; the fields after its last bracket are fixed.
    fields = stat.rpartition(")")[2].split()
    return "ended" if fields[0] in ("Z", "X") else fields[19]
