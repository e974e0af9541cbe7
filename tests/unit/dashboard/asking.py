"""Asking a WSGI application, without a server."""

from __future__ import annotations

import base64
import io
import json
import sys
from dataclasses import dataclass
from typing import Any

from tasearch.dashboard.guard import WsgiApp


@dataclass(frozen=True)
class Answer:
    """What an application said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


def ask(
    app: WsgiApp, path: str, method: str = "GET", *, body: bytes = b"", query: str = "", **headers: str | None
) -> Answer:
    """Send a request; `headers` are named as in the environment (`HOST`), None leaves one out."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
    }
    sent = {"HOST": "127.0.0.1:8080", **headers}
    environ |= {f"HTTP_{name}": value for name, value in sent.items() if value is not None}
    said: list[Any] = []
    parts = app(environ, lambda status, found, _exc_info=None: said.extend((status, found)))
    whole = b"".join(parts)
    getattr(parts, "close", lambda: None)()
    return Answer(int(said[0].split()[0]), dict(said[1]), whole)


def basic(user: str, password: str) -> str:
    """Return an Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
