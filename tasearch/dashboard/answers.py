"""The one large answer of the dashboard, all trials of a study, put together from parts that are made once.

optuna-dashboard turns every trial into JSON for every visitor and goes through all of them in every poll: ten seconds
and two for 10,000 trials. A trial that has ended changes no more, but for its note and its files, so its text is kept.
The parts come from optuna-dashboard's own answers, so they are what it says.
"""

from __future__ import annotations

import io
import json
import re
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any
from urllib.parse import parse_qs

from tasearch.dashboard.guard import Environ, StartResponse, WsgiApp
from tasearch.search.browsing import StudyState

_STUDY = re.compile(r"/api/studies/(\d+)/?")
_STALE_SECONDS = 12.0
"""optuna-dashboard may answer from trials that it read this long ago (10 s), so a change shows for sure only then."""
_PAUSE_SECONDS = 2.0
"""How long an answer that may be stale is given out again."""
_ENDED = frozenset({"Complete", "Pruned", "Fail"})
_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", re.IGNORECASE)
"""Of an Accept-Encoding header that allows it."""
_SEGMENT = 500
"""Trials that are compressed together, once."""
_OPENING, _COMMA, _CLOSING = b', "trials": [', b", ", b"]}"
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK = zlib.compressobj(wbits=-zlib.MAX_WBITS).flush()


@dataclass
class _Kept:
    """What is known of one study."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    state: StudyState | None = None
    seen_at: float = 0.0
    """When that state was first seen."""
    read_at: float = 0.0
    ended: list[bytes] = field(default_factory=list)
    """JSON of the trials from number 0 on, up to the first that has not ended."""
    ids: list[int] = field(default_factory=list)
    """Trial ids of those."""
    rest: list[bytes] = field(default_factory=list)
    """JSON of the trials after them."""
    head: bytes = b""
    """JSON of everything else, without the closing brace."""
    packed: list[bytes] = field(default_factory=list)
    """The first trials that have ended, `_SEGMENT` in each, compressed."""

    def body(self, after: int) -> bytes:
        """Return the answer for a visitor who has so many trials already."""
        trials = self.ended[after:] + self.rest[max(0, after - len(self.ended)) :]
        return b"".join((self.head, _OPENING, _COMMA.join(trials), _CLOSING))

    def compressed_body(self) -> bytes:
        """Return the answer with all trials, as gzip; only trials that are not compressed yet take time."""
        # A segment ends in a comma, so one trial at least comes after the last.
        while len(self.ended) + len(self.rest) > _SEGMENT * (len(self.packed) + 1) <= len(self.ended):
            self.packed.append(_deflated(self._segment(len(self.packed))))
        opening = self.head + _OPENING
        trials = self.ended[len(self.packed) * _SEGMENT :] + self.rest
        closing = _COMMA.join(trials) + _CLOSING
        checksum, size = zlib.crc32(opening), len(opening) + len(closing)
        for number in range(len(self.packed)):
            text = self._segment(number)
            checksum, size = zlib.crc32(text, checksum), size + len(text)
        trailer = struct.pack("<II", zlib.crc32(closing, checksum), size & 0xFFFFFFFF)
        return b"".join((_GZIP_HEADER, _deflated(opening), *self.packed, _deflated(closing), _LAST_BLOCK, trailer))

    def _segment(self, number: int) -> bytes:
        return _COMMA.join((*self.ended[number * _SEGMENT : (number + 1) * _SEGMENT], b""))

    def forget_changed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Forget the trials from the first one on whose note or files have changed: their ids are in the keys."""
        changed = {key for key, value in after.items() if before.get(key) != value} | (before.keys() - after.keys())
        named = {int(number) for key in changed for number in re.findall(r"\d+", key)}
        first = next((place for place, trial_id in enumerate(self.ids) if trial_id in named), len(self.ids))
        self.forget_from(first)

    def forget_from(self, first: int) -> None:
        """Forget the trials from this place on."""
        del self.ended[first:], self.ids[first:], self.packed[first // _SEGMENT :]


class StudyAnswers:
    """A WSGI application that answers for `/api/studies/<id>`, and hands everything else on."""

    def __init__(
        self,
        app: WsgiApp,
        state_of: Callable[[int], StudyState | None],
        *,
        skip_ended: Callable[[int, int], None] = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`state_of`: the present state of a study by id; called for every answer, so it must be quick.

        `skip_ended` is told, by study id, how many of the first trials have ended and been answered for.
        """
        self._app, self._state_of, self._skip_ended, self._clock = app, state_of, skip_ended, clock
        self._studies: dict[int, _Kept] = {}
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        found = _STUDY.fullmatch(environ.get("PATH_INFO", ""))
        after = _after(environ)
        if environ["REQUEST_METHOD"] != "GET" or found is None or after is None:
            return self._app(environ, start_response)
        compress = after == 0 and _GZIP.search(environ.get("HTTP_ACCEPT_ENCODING", "")) is not None
        body = self._answer(int(found[1]), after, compress=compress)
        if body is None:
            return self._app(environ, start_response)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response("200 OK", [*headers, *([("Content-Encoding", "gzip")] if compress else [])])
        return [body]

    def _answer(self, study_id: int, after: int, *, compress: bool) -> bytes | None:
        """Return the body, or None where optuna-dashboard's own answer is no study."""
        with self._lock:
            kept = self._studies.setdefault(study_id, _Kept())
        # One visitor at a time makes it; the others then find it made.
        with kept.lock:
            state = self._state_of(study_id)
            if state is None:
                return None
            if not self._is_fresh(kept, state) and not self._refresh(study_id, kept):
                return None
            return kept.compressed_body() if compress else kept.body(after)

    def _is_fresh(self, kept: _Kept, state: StudyState) -> bool:
        now = self._clock()
        if kept.state != state:
            if kept.state is None or kept.state.name != state.name or state.num_trials < len(kept.ended):
                # SQLite gives the id of a deleted study to the next one.
                kept.forget_from(0)
            else:
                kept.forget_changed(kept.state.system_attrs, state.system_attrs)
            kept.state, kept.seen_at = state, now
            return False
        return kept.read_at - kept.seen_at > _STALE_SECONDS or now - kept.read_at < _PAUSE_SECONDS

    def _refresh(self, study_id: int, kept: _Kept) -> bool:
        """Ask optuna-dashboard for what is not known yet."""
        kept.read_at = self._clock()
        status, body = _ask(self._app, f"/api/studies/{study_id}", f"after={len(kept.ended)}")
        if not status.startswith("200"):
            kept.state = None
            return False
        answer = json.loads(body)
        trials = answer.pop("trials")
        ended = list(takewhile(lambda trial: trial["state"] in _ENDED, trials))
        kept.ids += [trial["trial_id"] for trial in ended]
        kept.ended += [json.dumps(trial).encode() for trial in ended]
        kept.rest = [json.dumps(trial).encode() for trial in trials[len(ended) :]]
        kept.head = json.dumps(answer).encode()[:-1]
        self._skip_ended(study_id, len(kept.ended))
        return True


def _deflated(text: bytes) -> bytes:
    """Return compressed blocks that end at a byte and refer to nothing before them, so that they can be joined."""
    compressor = zlib.compressobj(level=1, wbits=-zlib.MAX_WBITS)
    return compressor.compress(text) + compressor.flush(zlib.Z_FULL_FLUSH)


def _after(environ: Environ) -> int | None:
    """Return the number of trials that the visitor has already, None where that is no number."""
    values = parse_qs(environ.get("QUERY_STRING", "")).get("after", ["0"])
    return int(values[0]) if len(values) == 1 and re.fullmatch(r"\d{1,9}", values[0]) else None


def _ask(app: WsgiApp, path: str, query: str) -> tuple[str, bytes]:
    """Return status and body of a GET that is made up here."""
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_ACCEPT_ENCODING": "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    answered: list[str] = []
    parts = app(environ, lambda status, _headers, _exc_info=None: answered.append(status))
    try:
        return answered[0], b"".join(parts)
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
