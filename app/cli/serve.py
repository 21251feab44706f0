"""`serve`: the panel under gunicorn, until it is told to stop."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from app.cli.instance import PanelError, PanelFile, listen, url_of
from app.cli.root import Command, Invocation, Refusal

if TYPE_CHECKING:
    from app.config.model import Config

PORT = 8080
ADDRESS = "127.0.0.1"
bind_option = click.option("--bind", metavar="A", default=ADDRESS, show_default=True, help="Address.")
port_option = click.option(
    "--port", metavar="P", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="TCP port."
)


@click.command(cls=Command)
@bind_option
@port_option
@click.option("--no-welcome", is_flag=True, hidden=True, help="Don't print the initial password.")
@click.pass_obj
def serve(obj: Invocation, bind: str, port: int, no_welcome: bool) -> None:
    """Run the web panel in the foreground. Proxies keep running when it ends."""
    from app.config.file import ConfigFile

    file = ConfigFile(obj.data_dir)
    file.prepare()
    config = file.read()
    url = url_of(bind, port)
    try:
        claim = PanelFile(obj.data_dir).claim(url)
        listener = listen(bind, port)
    except PanelError as error:
        raise Refusal(str(error), "port") from None
    if not no_welcome:
        obj.answer(welcome(url, config), welcome_text(url, config))
    sys.stdout.flush()
    # The worker's create_app() reads the folder's name from here.
    os.environ["MTPROTO_DATA_DIR"] = str(obj.data_dir)
    with claim:
        run_gunicorn(listener.detach())


def welcome(url: str, config: Config) -> dict[str, str]:
    document = {"url": url}
    if config.initial_password:
        document |= {"username": config.admin_username, "password": config.initial_password}
    return document


def welcome_text(url: str, config: Config) -> str:
    lines = [f"Panel:     {url}"]
    if config.initial_password:
        lines += [f"Name:      {config.admin_username}",
                  f"Password:  {config.initial_password}   (shown until the first login)"]
    return "\n".join(lines)


def run_gunicorn(listener: int) -> None:
    """Serve wsgi:app on an open listening socket; returns by SystemExit."""
    from gunicorn.app.base import BaseApplication

    class Panel(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            settings: dict[str, Any] = {
                "bind": f"fd://{listener}",
                # One worker: the monitor thread lives in it, and login throttling needs no more.
                "workers": 1,
                "worker_class": "gthread",
                "threads": 8,
                "timeout": 60,
                "graceful_timeout": 5,
                "loglevel": "warning",
                "proc_name": "mtproto-panel",
                # Another way in to the server process, which nobody here uses.
                "control_socket_disable": True,
            }
            for key, value in settings.items():
                self.cfg.set(key, value)

        def load(self) -> Any:
            # In the worker, after the fork: it opens the ledger and starts the monitor.
            from wsgi import app

            return app

    Panel().run()
