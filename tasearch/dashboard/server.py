"""The socket and the threads that answer for the dashboard."""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket

from waitress import create_server

from tasearch.dashboard.guard import WsgiApp
from tasearch.domain.errors import ConfigError

THREADS = 8
_LARGEST_QUESTION = 1 << 20
_LARGEST_UPLOAD = 128 << 20
"""Bytes that a request may carry; the larger one is optuna-dashboard's own limit for attached files."""


def resolve_address(host: str, port: int) -> tuple[socket.AddressFamily, str]:
    """Return the family and numeric address that a host name stands for. Raises ConfigError where there is none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"--host {host!r} is not an address of this machine: {getattr(error, 'strerror', None) or error}",
            hint="--host 127.0.0.1 is this machine alone, --host 0.0.0.0 all of its addresses",
        ) from None
    family, _, _, _, address = found[0]
    return family, str(address[0])


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches a numeric address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on the port, 0 for any free one. Raises ConfigError where it cannot be had."""
    family, address = resolve_address(host, port)
    try:
        return socket.create_server((address, port), family=family, backlog=128)
    except OSError as error:
        shown = url_of(host, port)
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"--port {port} is in use: something else answers at {shown}",
                hint="choose another --port, or --port 0 for any that is free",
            ) from None
        raise ConfigError(
            f"cannot listen on {shown}: {error.strerror or error}",
            hint="choose another --host, and a --port from 1024 to 65535 or 0 for any that is free",
        ) from None


def url_of(host: str, port: int) -> str:
    """Return the address to type into a browser."""
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def serve(app: WsgiApp, listening: socket.socket, *, allow_write: bool) -> None:
    """Answer on the socket until KeyboardInterrupt is raised in this thread, which ends it quietly."""
    # What waitress says of a queue of requests is of no use to whoever looks at a study.
    logging.getLogger("waitress").setLevel(logging.ERROR)
    server = create_server(
        app,
        sockets=[listening],
        threads=THREADS,
        ident=None,
        max_request_body_size=_LARGEST_UPLOAD if allow_write else _LARGEST_QUESTION,
    )
    try:
        server.run()
    finally:
        server.close()
