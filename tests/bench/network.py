"""A network that can be cut: a private one of this process, with a PostgreSQL behind a relay.

In a network namespace of its own (`unshare --net`) a process may take the loopback device down. What is on its way then
is lost without a word to either side, as when a cable is pulled.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

_INSIDE = "BENCH_OWN_NETWORK"


def enter_own_network() -> None:
    """Begin this program again in a network of its own, unless it is in one. Raises RuntimeError where it may not."""
    if _INSIDE in os.environ:
        return
    reason = why_no_own_network()
    if reason is not None:
        raise RuntimeError(reason)
    os.environ[_INSIDE] = "yes"
    os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])


def why_no_own_network() -> str | None:
    """Return why a network that can be cut cannot be had here, None where it can."""
    command = ["unshare", "--net", "sh", "-c", "ip link set lo up && ip link set lo down"]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "there is no `unshare` here"
    return None if tried.returncode == 0 else f"a network of its own is not allowed here: {tried.stderr.strip()}"


def connect_network() -> None:
    """Plug the cable in."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def cut_network(seconds: float) -> None:
    """Pull the cable for so long."""
    subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
    time.sleep(seconds)
    connect_network()


def relay_to(path: Path) -> int:
    """Relay a port of 127.0.0.1, which is returned, to a server's socket in the file system, from threads."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            # A server notices as late as its clients do that the network is gone.
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000)
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(path))
            except OSError:
                client.close()
                server.close()
                continue
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=(source, target), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(listener.getsockname()[1])


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
