"""What every command shares: --json, --data, how it ends, and how a refusal is told.

Exit codes: 0 done, 1 refused or failed (message on stderr), 2 bad usage, 130 Ctrl-C.
With --json, stdout holds exactly one JSON document, and whatever goes wrong is one
JSON document on stderr: {"error": message, "field": name of the field or ""}, with "code" and "params" where the error
has a code (app/messages).

Nothing heavy is imported here or at the top of the command modules: `--help` and
usage errors are answered without loading the system.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from app.config.file import ConfigFile
    from app.control.system import System
    from app.messages import Problem


class Refusal(click.ClickException):
    """Exit code 1: the message says what was wrong and what was kept."""

    def __init__(self, message: str, field: str = "", problem: Problem | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.problem = problem


def default_data_dir() -> Path:
    return Path(os.environ.get("MTPROTO_DATA_DIR") or "data")


@dataclass
class Invocation:
    """What the shared options said; every command gets it through click.pass_obj."""

    data: Path = field(default_factory=default_data_dir)
    json: bool = False

    @property
    def data_dir(self) -> Path:
        return self.data.absolute()

    def command_line(self, words: str) -> str:
        """A command on this data folder, as it is typed where this one was."""
        from app import commands

        return commands.command_line(self.data_dir, words)

    def no_users(self) -> str:
        return f"No users yet: {self.command_line('user add NAME')}"

    def _require_installation(self) -> None:
        """A folder with backups has held one: what is missing is told when it is read."""
        folder = self.data_dir
        if (folder / "config.json").exists() or any(folder.glob("backups/config-*.json")):
            return
        from app import commands

        likely = (Path(os.environ.get("MTPROTO_DATA_DIR") or "data").absolute(), commands.DATA)
        there = next((each for each in likely if (each / "config.json").exists()), None)
        name = (f"There is one in {there}: {commands.command_line(there, '…')}" if there else
                "Name the folder that the panel serves: --data DIR. (A new installation is made by its first start: "
                "bash install.sh --local, or docker compose up.)")
        raise Refusal(f"There is no installation in {folder} (no config.json), and nothing was made there. {name}",
                      "data")

    def file(self) -> ConfigFile:
        """The declaration. Raises Refusal where no panel has ever been: a mistyped folder is not to become an
        empty installation, with a password of its own."""
        from app.config.file import ConfigFile

        self._require_installation()
        return ConfigFile(self.data_dir)

    def system(self) -> System:
        """The system of the data folder. Raises Refusal as file() does."""
        self._require_installation()
        from app.control.system import System

        return System.open(self.data_dir)

    def answer(self, document: Any, text: str) -> None:
        """Print the outcome: `document` for a program, `text` for a person."""
        click.echo(json.dumps(document, indent=2, ensure_ascii=False) if self.json else text)


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    invocation = ctx.ensure_object(Invocation)
    if param.name == "data" and value is not None:
        if str(value) == "":
            raise click.BadParameter("the folder's name is empty.", ctx, param)
        invocation.data = Path(value)
    elif param.name == "json" and value:
        invocation.json = True


def _shared_options() -> list[click.Parameter]:
    return [
        click.Option(
            ["--data"],
            type=click.Path(file_okay=False),
            metavar="DIR",
            expose_value=False,
            callback=_remember,
            help="The data folder (default: $MTPROTO_DATA_DIR, else ./data).",
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_remember,
            help="Answer with one JSON document.",
        ),
    ]


class Command(click.Command):
    """A command with the shared options, whose refusals become exit code 1."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _shared_options()

    def invoke(self, ctx: click.Context) -> Any:
        from app.config.file import ConfigError
        from app.control.errors import Refused, Unfinished

        try:
            return super().invoke(ctx)
        except Refused as refused:
            raise Refusal(str(refused), refused.field, refused.problem) from refused
        except (ConfigError, Unfinished) as error:
            raise Refusal(str(error), problem=error.problem) from error
        except (BrokenPipeError, sqlite3.ProgrammingError):
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise Refusal(f"{where}{error.strerror or error}. Nothing was changed.") from error
        except sqlite3.DatabaseError as error:
            raise Refusal(f"{ctx.obj.data_dir / 'panel.db'}: {error}.") from error


class Group(click.Group):
    """A group whose commands, and itself, take the shared options."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _shared_options()


class Root(Group):
    """The outermost group: the only place where the process ends."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, complete_var: str | None = None,
             standalone_mode: bool = True, **extra: Any) -> NoReturn:
        """As click's, but with errors as JSON and no traceback of a closed pipe."""
        arguments = list(sys.argv[1:] if args is None else args)
        code = 0
        try:
            with self.make_context(prog_name or "python -m app.cli", arguments, **extra) as ctx:
                self.invoke(ctx)
            sys.stdout.flush()
        except click.exceptions.Exit as done:
            code = done.exit_code
        except click.ClickException as error:
            _tell(error, "--json" in arguments)
            code = error.exit_code
        except (click.Abort, KeyboardInterrupt):
            code = 130
        except BrokenPipeError:
            # Whoever read our output has left (`… | head -1`). The command itself is done.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(code)


def _tell(error: click.ClickException, as_json: bool) -> None:
    if as_json:
        problem = getattr(error, "problem", None)
        told = {"error": error.format_message(), "field": getattr(error, "field", ""),
                **(problem.document() if problem else {})}
        click.echo(json.dumps(told, ensure_ascii=False), err=True)
    else:
        error.show()


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """MTProto Proxy Manager: hands out Telegram proxy links that work.

    The panel and these commands share one declaration (data/config.json); they
    may be used side by side. Every command takes --json and --data DIR.
    """
