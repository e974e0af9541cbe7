"""Who may ask what, over an application that would answer everything."""

from __future__ import annotations

import base64
from collections.abc import Iterable

import pytest

from tasearch.dashboard.guard import Environ, Guard, Login, StartResponse
from tests.unit.dashboard.asking import ask, basic

PASSWORD = "öpen: sesame"
LOGIN = Login.of("ada", PASSWORD)
EVERYWHERE = ("/", "/dashboard", "/static/bundle.js", "/favicon.ico", "/api/meta", "/api/studies", "/csv/1", "/x")


class Inner:
    """Answers everything and remembers what it was asked."""

    def __init__(self, content_type: str = "text/html", **headers: str) -> None:
        self.headers = [("Content-Type", content_type), *headers.items()]
        self.asked: list[Environ] = []

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.asked.append(environ)
        start_response("200 OK", list(self.headers))
        return [b"secret"]


@pytest.fixture
def inner() -> Inner:
    return Inner()


def guarded(inner: Inner, *, login: Login | None = None, allow_write: bool = False, host: str = "127.0.0.1") -> Guard:
    return Guard(inner, login=login, allow_write=allow_write, host=host)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_is_allowed(inner: Inner, method: str) -> None:
    assert ask(guarded(inner), "/api/studies", method).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "BREW", "get"])
def test_every_other_method_is_refused_with_what_to_do(inner: Inner, method: str) -> None:
    answer = ask(guarded(inner), "/api/studies", method)
    assert answer.status == 403
    assert "read-only" in answer.json["reason"]
    assert "--allow-write" in answer.json["reason"]
    assert inner.asked == []


@pytest.mark.parametrize("path", ["/incompatible-rdb-schema", "/incompatible-rdb-schema/"])
def test_the_page_that_upgrades_the_database_is_refused(inner: Inner, path: str) -> None:
    answer = ask(guarded(inner), path)
    assert answer.status == 403
    assert "optuna storage upgrade" in answer.json["reason"]


def test_writing_is_allowed_where_that_was_said(inner: Inner) -> None:
    assert ask(guarded(inner, allow_write=True), "/api/studies", "POST").status == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://127.0.0.1:8080", 200), ("https://evil.example", 403), ("http://127.0.0.1:9999", 403), ("null", 403)],
)
def test_another_sites_page_may_not_write(inner: Inner, origin: str, status: int) -> None:
    assert ask(guarded(inner, allow_write=True), "/api/studies", "POST", ORIGIN=origin).status == status


@pytest.mark.parametrize("path", EVERYWHERE)
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"ada").decode(),
        "Bearer " + base64.b64encode(f"ada:{PASSWORD}".encode()).decode(),
        basic("ada", "wrong"),
        basic("ada", ""),
        basic("bob", PASSWORD),
        basic("", ""),
        basic("ada", PASSWORD + "x"),
        "Basic \xff\xff",
    ],
)
def test_without_the_password_nothing_is_served(inner: Inner, path: str, authorization: str | None) -> None:
    answer = ask(guarded(inner, login=LOGIN), path, AUTHORIZATION=authorization)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert b"secret" not in answer.body
    assert inner.asked == []


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_with_the_password_everything_is(inner: Inner, scheme: str) -> None:
    given = basic("ada", PASSWORD).replace("Basic", scheme)
    answer = ask(guarded(inner, login=LOGIN), "/", AUTHORIZATION=given, HOST="study.example")
    assert (answer.status, answer.body) == (200, b"secret")


def test_the_password_comes_before_the_method(inner: Inner) -> None:
    assert ask(guarded(inner, login=LOGIN), "/api/studies", "POST").status == 401


def test_the_password_is_not_kept() -> None:
    assert PASSWORD not in repr(LOGIN)


def test_a_refused_head_has_no_body(inner: Inner) -> None:
    assert ask(guarded(inner, login=LOGIN), "/", "HEAD").body == b""


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "localhost:9000", "[::1]:8080", "LOCALHOST"])
def test_this_machines_names_are_answered(inner: Inner, host: str) -> None:
    assert ask(guarded(inner), "/", HOST=host).status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", None])
def test_a_name_that_was_made_to_point_here_is_not(inner: Inner, host: str | None) -> None:
    answer = ask(guarded(inner), "/", HOST=host)
    assert answer.status == 403
    assert "--auth" in answer.json["reason"]


@pytest.mark.parametrize("host", ["[", "[::1", "a]b["])
def test_a_host_that_is_none_is_a_bad_request(inner: Inner, host: str) -> None:
    assert ask(guarded(inner), "/", HOST=host).status == 400


def test_an_origin_that_is_none_is_another_site(inner: Inner) -> None:
    answer = ask(guarded(inner, allow_write=True), "/", "POST", HOST="127.0.0.1", ORIGIN="http://[")
    assert answer.status == 403


def test_the_name_it_listens_on_is_answered(inner: Inner) -> None:
    assert ask(guarded(inner, host="127.1.2.3"), "/", HOST="127.1.2.3:8080").status == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "SAMEORIGIN"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    ],
)
@pytest.mark.parametrize("status", [200, 403])
def test_every_answer_has_the_headers(inner: Inner, name: str, value: str, status: int) -> None:
    answer = ask(guarded(inner), "/", "GET" if status == 200 else "POST")
    assert (answer.status, answer.headers[name]) == (status, value)


def test_a_page_keeps_its_own_content_security_policy() -> None:
    inner = Inner(**{"Content-Security-Policy": "default-src 'self'"})
    assert ask(guarded(inner), "/dashboard").headers["Content-Security-Policy"] == "default-src 'self'"


@pytest.mark.parametrize("path", ["/artifacts/1/ab-cd", "/artifacts/1/2/ab-cd"])
def test_an_attached_file_is_in_a_sandbox_and_for_no_other_site(path: str) -> None:
    inner = Inner(**{"Access-Control-Allow-Origin": "*", "Content-Security-Policy": "script-src *"})
    headers = ask(guarded(inner), path).headers
    assert headers["Content-Security-Policy"].startswith("sandbox;")
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    ("content_type", "is_shown"),
    [
        ("text/html", False),
        ("TEXT/HTML; charset=utf-8", False),
        ("image/svg+xml", False),
        ("application/xhtml+xml", False),
        ("application/pdf", False),
        ("application/octet-stream", False),
        ("", False),
        ("image/png", True),
        ("text/csv", True),
        ("video/mp4", True),
        ("text/plain", True),
    ],
)
def test_only_files_that_cannot_hold_a_script_are_shown(content_type: str, is_shown: bool) -> None:
    headers = ask(guarded(Inner(content_type)), "/artifacts/1/ab").headers
    assert (headers.get("Content-Disposition") == "attachment") is not is_shown


def test_a_request_without_accept_encoding_gets_one(inner: Inner) -> None:
    ask(guarded(inner), "/static/bundle.js")
    assert inner.asked[0]["HTTP_ACCEPT_ENCODING"] == ""
