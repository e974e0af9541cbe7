"""Entry point: finds the command, imports only what it needs, and turns errors into one line and an exit code."""

from __future__ import annotations

import difflib
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence

import click

from tasearch import __version__
from tasearch.domain.errors import ConfigError, TasearchError, nearest

COMMANDS = {
    "optimize": "Find the best TA chain for a teacher and a student.",
    "worker": "Take part in a study, from any machine.",
    "status": "Show where a study stands.",
    "gap": "Measure how the gap between teacher and student matters.",
    "landscape": "Draw the loss around the students of a study.",
    "suggest": "Name the TA of the paper's heuristic, half way in accuracy.",
    "studies": "List the studies of a database.",
    "report": "Write the report of a study again.",
    "dashboard": "Look at the studies of a database in a browser.",
    "stop": "End the workers of a study, on any machine.",
    "delete": "Remove a study and what nothing else needs of it.",
    "export": "Write the winning student for use without tasearch.",
    "reproduce": "Train a trial again and compare.",
    "db": "Prepare the database that workers share.",
    "doctor": "Find what is wrong and say how to mend it.",
    "gc": "Remove what no study needs any more.",
}


class LazyGroup(click.Group):
    """Imports a command's module when it is called: torch takes seconds, `--help` must not."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the README."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command. Raises ConfigError, with the nearest name, for an unknown one."""
        del ctx
        if cmd_name not in COMMANDS:
            raise ConfigError(f"there is no command {cmd_name!r}", hint=nearest(cmd_name, list(COMMANDS)))
        command = importlib.import_module(f"tasearch.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="tasearch")
def tasearch() -> None:
    """Find the best teacher-assistant (TA) chain for knowledge distillation, and how sure that answer is.

    \b
    tasearch optimize --teacher resnet110 --student resnet8
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; errors go to stderr as one line and a hint."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        result = tasearch.main(args=arguments, prog_name="tasearch", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except TasearchError as error:
        return _fail(error.message, error.hint, error.exit_code, debug)
    except click.NoSuchOption as error:
        return _fail(f"there is no option {error.option_name!r}", _nearest_option(error, arguments), 2, debug)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.UsageError as error:
        return _fail(error.format_message(), f"see `{_help_of(arguments)}`", 2, debug)
    except click.Abort:
        return 130
    except BrokenPipeError:
        # Whoever read stdout has gone (`tasearch status | head`); the interpreter must not find out again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        logging.getLogger(__name__).debug("unexpected", exc_info=True)
        return _fail(f"{type(error).__name__}: {error}", "run again with --debug for the traceback", 1, debug)


def run() -> None:
    """Run the command line of this process and end it."""
    sys.exit(main())


def _nearest_option(error: click.NoSuchOption, arguments: Sequence[str]) -> str:
    options = error.ctx.command.params if error.ctx is not None else []
    known = [flag for option in options for flag in option.opts if flag.startswith("--")]
    close = difflib.get_close_matches(error.option_name, known, n=1)
    return (f"did you mean `{close[0]}`? " if close else "") + f"`{_help_of(arguments)}` lists them all"


def _help_of(arguments: Sequence[str]) -> str:
    command = next((word for word in arguments if word in COMMANDS), None)
    return f"tasearch {command} --help" if command else "tasearch --help"


def _fail(message: str, hint: str, exit_code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    if hint:
        print(f"hint: {' '.join(hint.split())}", file=sys.stderr)
    return exit_code
