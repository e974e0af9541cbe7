"""`tasearch dashboard`: look at the studies of a database in a browser."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

from tasearch.cli.options import LOCATION, configure_logging, location_from, output_options, settings_options
from tasearch.config.resolve import DASHBOARD_PASSWORD
from tasearch.domain.errors import ConfigError


@click.command("dashboard")
@settings_options(LOCATION)
@click.option("--host", default="127.0.0.1", metavar="NAME", help="Where to listen. [127.0.0.1: this machine only]")
@click.option(
    "--port", default=8080, type=click.IntRange(0, 65535), metavar="N", help="Port, 0 for any that is free. [8080]"
)
@click.option("--allow-write", is_flag=True, help="Let visitors change and delete things; without it they only look.")
@click.option(
    "--auth",
    "user",
    metavar="USER",
    help=f"Ask visitors for this user and a password, from {DASHBOARD_PASSWORD} or a prompt.",
)
@output_options
def command(
    host: str,
    port: int,
    allow_write: bool,
    user: str | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    debug: bool,
    **flags: Any,
) -> int:
    """Show the studies of a database in a browser, with optuna-dashboard.

    Read-only unless --allow-write is given. On an address that other machines reach a password is required (--auth);
    it travels unencrypted, so put a proxy with TLS in front where the network is not yours. Ctrl-C ends it.
    """
    # Imported here: Optuna takes a second, and `--help` must not.
    from tasearch.api.existing import existing_url, open_existing, open_to_read, readable_database
    from tasearch.dashboard.app import open_dashboard
    from tasearch.dashboard.guard import Login
    from tasearch.dashboard.server import is_loopback, listen, resolve_address, serve, url_of
    from tasearch.stores.home import Home
    from tasearch.worker.signals import stop_on_signals

    configure_logging(verbose=verbose, quiet=quiet, debug=debug)
    is_local = is_loopback(resolve_address(host, port)[1])
    if user is None and not is_local:
        raise ConfigError(
            f"--host {host} can be reached from other machines, and that takes a password",
            hint=f"add --auth USER and put the password into {DASHBOARD_PASSWORD}, or leave --host out",
        )
    settings = location_from(flags)
    url = existing_url(settings) if allow_write else readable_database(settings)
    with open_existing(url) if allow_write else open_to_read(url):
        # Refused here, with what to do next, where it is no database of ours.
        pass
    login = None if user is None else Login.of(user, _password(user))
    with stop_on_signals() as stop, listen(host, port) as listening:
        try:
            attachments = Home(settings.home).attachments
            with open_dashboard(url, login=login, allow_write=allow_write, host=host, attachments=attachments) as app:
                _announce(
                    url_of(host, listening.getsockname()[1]),
                    {"read_only": not allow_write, "password": login is not None},
                    as_json=as_json,
                    quiet=quiet,
                )
                serve(app, listening, allow_write=allow_write)
        except KeyboardInterrupt:
            pass
        return stop.exit_code


def _password(user: str) -> str:
    """Return the password from the environment or, on a terminal, from a prompt; never from the command line."""
    if not user or ":" in user:
        raise ConfigError(f"--auth {user!r} is no user name", hint="a user name is not empty and has no colon in it")
    password = os.environ.get(DASHBOARD_PASSWORD)
    if password is None and sys.stdin.isatty():
        password = str(click.prompt(f"password for {user}", hide_input=True, err=True))
    if not password:
        raise ConfigError(
            f"--auth {user} takes a password, and there is none",
            hint=f"put it into the environment variable {DASHBOARD_PASSWORD}, or start this on a terminal to be asked",
        )
    return password


def _announce(address: str, how: dict[str, bool], *, as_json: bool, quiet: bool) -> None:
    """Say where the dashboard is."""
    if not quiet:
        mode = "read-only" if how["read_only"] else "visitors may change things"
        asked = ", with a password" if how["password"] else ""
        print(f"dashboard at {address} ({mode}{asked}); Ctrl-C ends it", file=sys.stderr, flush=True)
    if as_json:
        # One line, at once: whoever started this process reads it to know where to connect.
        print(json.dumps({"url": address, **how}), flush=True)
