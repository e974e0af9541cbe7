"""What may be asked of the dashboard, and by whom: optuna-dashboard itself has neither a login nor a read-only mode.

A request passes, in this order: its host name, the password, reading or writing. Then its answer gets the headers that
keep other sites, and files that somebody attached, away from the dashboard's origin.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing. Of optuna-dashboard 0.21's routes for them none writes to the study."""
_MIGRATION = "/incompatible-rdb-schema"
"""Its page offers a button that upgrades the database's tables under the feet of whoever uses them."""
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_ARTIFACTS = "/artifacts/"
_SHOWN_TYPES = ("image/", "audio/", "video/", "text/plain", "text/csv", "application/json", "application/jsonl")
"""Attached files of these types are shown; SVG, HTML and everything else is only downloaded."""
_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_ARTIFACT_HEADERS = (("Content-Security-Policy", "sandbox; default-src 'none'"),)


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """The one user who may look."""

    user: str
    password_hash: bytes
    """SHA-256 of the UTF-8 password: values of one length, so that comparing them says nothing about it."""

    @classmethod
    def of(cls, user: str, password: str) -> Login:
        """Return the login of a user with this password."""
        return cls(user=user, password_hash=hashlib.sha256(password.encode()).digest())

    def accepts(self, authorization: str) -> bool:
        """Whether an `Authorization` header holds this user and password."""
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            user, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        except ValueError:
            return False
        # Both are always compared, each in constant time.
        same_user = hmac.compare_digest(user, self.user.encode())
        same_password = hmac.compare_digest(hashlib.sha256(password).digest(), self.password_hash)
        return same_user and same_password


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """The answer to a request that may not pass."""

    status: str
    reason: str
    headers: tuple[tuple[str, str], ...] = ()


class Guard:
    """A WSGI application around the dashboard that lets through what is allowed."""

    def __init__(self, app: WsgiApp, *, login: Login | None, allow_write: bool, host: str) -> None:
        """`host`: the name that the server was told to listen on. Without a `login` only local names are answered."""
        self._app, self._login, self._allow_write = app, login, allow_write
        self._names = {*_LOCAL_NAMES, host.strip("[]").lower()}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        refusal = self._refusal(environ)
        if refusal is not None:
            return _refuse(refusal, environ, start_response)
        # Without this header optuna-dashboard fails to give out its own scripts.
        environ.setdefault("HTTP_ACCEPT_ENCODING", "")
        is_artifact = environ.get("PATH_INFO", "").startswith(_ARTIFACTS)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, _protected(headers, is_artifact=is_artifact), exc_info)

        return self._app(environ, start)

    def _refusal(self, environ: Environ) -> Refusal | None:
        """Return why a request may not pass, or None."""
        name = _host_name(environ.get("HTTP_HOST", ""))
        if name is None:
            return Refusal(status="400 Bad Request", reason="the header Host names no host")
        if self._login is None:
            # A site that has its own name resolve to this machine could read everything from a visitor's browser.
            if name not in self._names:
                return Refusal(
                    status="403 Forbidden",
                    reason=f"this dashboard has no password and answers on this machine only, not as {name!r}: "
                    "start it with --auth USER",
                )
        elif not self._login.accepts(environ.get("HTTP_AUTHORIZATION", "")):
            realm = (("WWW-Authenticate", 'Basic realm="tasearch", charset="UTF-8"'),)
            return Refusal(status="401 Unauthorized", reason="user and password are needed", headers=realm)
        method = environ["REQUEST_METHOD"]
        if not self._allow_write:
            if method not in READING:
                return Refusal(
                    status="403 Forbidden",
                    reason="this dashboard is read-only: start `tasearch dashboard --allow-write` to change things",
                )
            if environ.get("PATH_INFO", "").rstrip("/") == _MIGRATION:
                return Refusal(
                    status="403 Forbidden",
                    reason="this dashboard is read-only: upgrade the database's tables with `optuna storage upgrade`",
                )
        elif method not in READING and _is_foreign(environ):
            return Refusal(status="403 Forbidden", reason="this change was asked for by another site")
        return None


def _is_foreign(environ: Environ) -> bool:
    """Whether a browser says that another site's page made the request: it sends the password along all the same."""
    origin = environ.get("HTTP_ORIGIN")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != str(environ.get("HTTP_HOST", "")).lower()
    except ValueError:
        return True


def _host_name(host: str) -> str | None:
    """Return the name in a header `Host`, empty where there is no header; None where it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return None


def _protected(headers: list[tuple[str, str]], *, is_artifact: bool) -> list[tuple[str, str]]:
    """Return an answer's headers with ours; a page keeps its own content security policy, an artifact does not."""
    ours = (*_HEADERS, *(_ARTIFACT_HEADERS if is_artifact else ()))
    names = {name.lower() for name, _ in ours} | {"access-control-allow-origin"}
    kept = [(name, value) for name, value in headers if name.lower() not in names]
    if is_artifact:
        kind = next((value.lower() for name, value in headers if name.lower() == "content-type"), "")
        if "svg" in kind or not kind.startswith(_SHOWN_TYPES):
            kept = [*kept, ("Content-Disposition", "attachment")]
    return [*kept, *ours]


def _refuse(refusal: Refusal, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    body = json.dumps({"reason": refusal.reason}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *refusal.headers, *_HEADERS]
    start_response(refusal.status, headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
