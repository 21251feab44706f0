"""`python -m app.cli …`: puts the commands together."""

from __future__ import annotations

from app.cli.admins import admin, create_admin, first_password, reset_password
from app.cli.backups import backup, backups, restore
from app.cli.bans import bans
from app.cli.certificates import certificates, domains
from app.cli.config import config
from app.cli.debuglog import debug_log
from app.cli.doctor import doctor
from app.cli.fleet import events, logs, reconcile, restart, start, status, stop
from app.cli.mtproxy import mtproxy
from app.cli.notify import notify
from app.cli.panel import panel
from app.cli.plans import plan
from app.cli.probe import probe
from app.cli.renewal import update_proxies, version
from app.cli.root import cli
from app.cli.serve import serve
from app.cli.settings import settings
from app.cli.tokens import token
from app.cli.traffic import traffic
from app.cli.users import user
from app.lib.private import use_umask

for command in (
    serve, user, plan, settings, certificates, domains, status, traffic, start, stop, restart, logs, events, reconcile,
    probe, admin, create_admin, reset_password, first_password, config, panel,
    update_proxies, version, backup, backups, restore, doctor, debug_log, bans, mtproxy, token, notify,
):
    cli.add_command(command)

if __name__ == "__main__":
    use_umask()
    cli(prog_name="python -m app.cli")
