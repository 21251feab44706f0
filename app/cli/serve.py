"""`serve`: the panel and its HTTP server, until it is told to stop."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.instance import PanelFile, from_elsewhere, listen, url_of
from app.cli.root import Command, Invocation
from app.commands import command_line
from app.lib import portmap
from app.messages import sentence

if TYPE_CHECKING:
    from app.config.model import Config

ADDRESS = "127.0.0.1"
bind_option = click.option("--bind", metavar="A", default=ADDRESS, show_default=True, help="Address.")
port_option = click.option(
    "--port", metavar="P", type=click.IntRange(1, 65535), default=portmap.PANEL, show_default=True, help="TCP port."
)


@click.command(cls=Command)
@bind_option
@port_option
@click.option("--no-welcome", is_flag=True, hidden=True, help="Don't print the initial password.")
@click.option("--no-password", is_flag=True, hidden=True, help="Say how to print it: what is printed here is kept.")
@click.option("--log", hidden=True, type=click.Path(dir_okay=False, path_type=Path), help="A file that is rotated.")
@click.pass_obj
def serve(obj: Invocation, bind: str, port: int, no_welcome: bool, no_password: bool, log: Path | None) -> None:
    """Run the web panel in the foreground. Proxies keep running when it ends."""
    from app.cli import panellog
    from app.config.file import ConfigFile
    from app.lib.zone import zone_problem

    panellog.init(log)
    file = ConfigFile(obj.data_dir)
    file.prepare()
    config = file.read()
    url = url_of(bind, port)
    claim = PanelFile(obj.data_dir).claim(url)
    listener = listen(bind, port)
    if not no_welcome:
        printed_by = command_line(obj.data_dir, "first-password", anywhere=True) if no_password else ""
        obj.answer(welcome(url, config, no_password), welcome_text(bind, port, config, printed_by))
    if problem := zone_problem():
        logging.getLogger(__name__).warning("%s", sentence(problem))
    sys.stdout.flush()
    # create_app() reads the folder's name from here.
    os.environ["MTPROTO_DATA_DIR"] = str(obj.data_dir)
    with claim:
        from wsgi import app, notifier

        from app.cli import server

        try:
            server.run(app, listener)
        finally:
            # The monitor may be ended anywhere; of what is being sent, nobody would know whether it has arrived.
            notifier.stop()


def welcome(url: str, config: Config, no_password: bool = False) -> dict[str, str]:
    document = {"url": url}
    if config.initial_password:
        document |= {"username": config.admin_username}
        document |= {} if no_password else {"password": config.initial_password}
    return document


def welcome_text(bind: str, port: int, config: Config, printed_by: str = "") -> str:
    """Where the panel is, how to get in, and how to reach it from elsewhere.

    printed_by: the command that prints the first password, for a text that is kept, as by `docker logs`.
    """
    lines = [f"Panel:     {url_of(bind, port)}"]
    if config.initial_password:
        lines += [f"Name:      {config.admin_username}"]
        lines += [f"Its first password is printed by: {printed_by}" if printed_by else
                  f"Password:  {config.initial_password}   (shown until the first login)"]
    # Behind a reverse proxy the way in is that one's, as in docker-compose.yml.
    if os.environ.get("MTPROTO_TRUSTED_PROXIES", "").strip() in ("", "0"):
        lines += from_elsewhere(bind, port, config.server_domain or config.server_ip)
    return "\n".join(lines)
