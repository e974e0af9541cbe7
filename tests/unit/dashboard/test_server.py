from __future__ import annotations

import socket

import pytest

from tasearch.dashboard.server import is_loopback, listen, resolve_address, url_of
from tasearch.domain.errors import ConfigError


def test_port_0_is_any_that_is_free() -> None:
    with listen("127.0.0.1", 0) as first, listen("127.0.0.1", 0) as second:
        assert first.getsockname()[1] != second.getsockname()[1]


def test_a_port_in_use_is_refused_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port {port} is in use") as refused:
            listen("127.0.0.1", port)
    assert "--port 0" in refused.value.hint


def test_an_address_of_another_machine_is_refused() -> None:
    # Of a block that is set aside for documentation: no machine has it.
    with pytest.raises(ConfigError, match=r"cannot listen on http://192\.0\.2\.1:0/"):
        listen("192.0.2.1", 0)


@pytest.mark.parametrize("host", ["no such host", "300.1.1.1.1", "x" * 300])
def test_a_name_that_stands_for_no_address_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="is not an address"):
        resolve_address(host, 0)


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False)],
)
def test_what_only_this_machine_reaches(address: str, local: bool) -> None:
    assert is_loopback(address) is local


@pytest.mark.parametrize(("host", "url"), [("localhost", "http://localhost:8080/"), ("::1", "http://[::1]:8080/")])
def test_the_address_for_a_browser(host: str, url: str) -> None:
    assert url_of(host, 8080) == url
