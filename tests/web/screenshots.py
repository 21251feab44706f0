"""Makes the pictures of the README: `python -m tests.web.screenshots` writes docs/screenshots/*.webp.

With a folder, `python -m tests.web.screenshots FOLDER [WORD]`, pictures of every page in both languages, both themes,
on a phone and on a desk go there; of those with WORD in their name, if it is given. They are for looking at, and no
part of the repository.

The panel is the real one, over a real fleet whose runtime runs nothing: names and numbers are made up.
"""

from __future__ import annotations

import base64
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from werkzeug.serving import make_server

from app import create_app
from app.accounts import tokens
from app.accounts.actor import CLI
from app.actions import first_run, share
from app.config.channels import Channel
from app.control.backups import BackupSchedule
from app.control.monitor import Monitor
from app.engines.builtin import Builtin
from app.messages import text
from app.runtimes.base import Sample
from app.runtimes.loglines import merge, stamped
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime
from tests.web.behind_nginx import fleet_behind_nginx
from tests.web.desk import CHROMIUM, CHROMIUM_ARGUMENTS, open_desk
from tests.web.every_page import ODD_NAMES, Shown, by_get, further, open_page, silent_runtime, unreadable
from tests.web.visitor import NAME, PASSWORD, Visitor

PICTURES = Path(__file__).parents[2] / "docs/screenshots"
GB = 1024**3

#: Every picture is taken at all of these.
LANGUAGES, THEMES, WIDTHS = ("en", "ru"), ("light", "dark"), (1440, 390)
#: The pages that are taken once more while nothing that runs can be seen, and while config.json can't be read.
TROUBLED = ("dashboard", "users", "users-user", "logs", "settings-general")
#: Pixels: a taller picture can be no WebP.
TALLEST = 16_000

#: name, what is declared, downloaded GB, uploaded GB, connections
PEOPLE = (
    ("Grandma Nilufar", {"limit_gb": "50", "note": "Phone and tablet"}, 12.4, 1.1, 3),
    ("Dariush and family", {"limit_gb": "100"}, 79.0, 6.2, 11),
    ("Editorial desk", {"note": "Six laptops, one link"}, 312.0, 48.0, 27),
    ("Mehmet", {"limit_gb": "5", "speed_mbps": "2", "reset_cycle": "monthly 1", "expires": "2099-01-31"},
     4.9, 0.3, 2),
    ("Olena (work laptop)", {"limit_gb": "20"}, 8.7, 0.9, 1),
    ("Sasha", {"note": "Asked to pause until March"}, 1.2, 0.1, 0),
)

METRICS = """\
mtg_telegram_traffic{{telegram_ip="192.0.2.1",dc="2",direction="to_client"}} {down}
mtg_telegram_traffic{{telegram_ip="192.0.2.1",dc="2",direction="from_client"}} {up}
mtg_telegram_connections{{telegram_ip="192.0.2.1",dc="2"}} {connections}
mtg_domain_fronting {probes}
"""


#: port, what the built-in engine writes in that case (app/builtin/connection.py)
LINES = (
    (2443, "2026-11-20T06:12:03Z WARNING DC 2 can't be reached: timed out"),
    (2445, ("2026-11-20T06:12:07Z WARNING DC 2 can't be reached: timed out (3 more like it since the last "
            "such line)")),
    (2443, "2026-11-20T06:12:14Z WARNING DC 2 can't be reached: timed out"),
    (2446, "2026-11-20T09:40:55Z WARNING a client asked for DC 9, which is unknown: refused"),
)


class PictureRuntime(MemoryRuntime):
    """Named as what the reader of the README will have."""

    name = "process"

    def __init__(self) -> None:
        super().__init__()
        self.began = time.monotonic()
        self.counters: dict[str, tuple[float, float, int, int]] = {}

    def samples(self) -> list[Sample]:
        """What is connected goes on moving data while the pictures are taken."""
        passed = time.monotonic() - self.began
        for name, (down, up, connections, probes) in self.counters.items():
            self.machine.metrics(name, METRICS.format(
                down=int(down * GB + passed * connections * 38_000),
                up=int(up * GB + passed * connections * 2_500), connections=connections, probes=probes))
        return super().samples()

    def merged_logs(self, users: Iterable[str] | None = None, tail: int = 200) -> list[str]:
        """By time, as the real ones do."""
        wanted = None if users is None else set(users)
        logs = {name: stamped(name, box.log) for name, box in self.machine.boxes.items()
                if wanted is None or box.workload.user_id in wanted}
        return [str(line) for line in merge(logs, tail)]


def demo_fleet(data_dir: Path) -> Fleet:
    """People with traffic, one near the limit, one over it, one disabled."""
    runtime = PictureRuntime()
    fleet = Fleet(data_dir, runtime, Builtin())
    fleet.create_admin(NAME, PASSWORD, sudo=True)
    fleet.set_settings({"server_domain": "proxy.example.org"})
    first_run.end(fleet, CLI)
    for name, declared, down, up, connections in PEOPLE:
        user = fleet.add_user(name, **declared)
        runtime.counters[f"mtg-proxy-{user.port}"] = (down, up, connections, 7 + user.port % 10)
    Monitor(fleet, 10).tick()
    fleet.disable("Sasha")
    time.sleep(4)  # a speed needs a second sample, and the dashboard takes none within 3 s
    for second, user in enumerate(fleet.users()):
        runtime.machine.boxes[f"mtg-proxy-{user.port}"].log[:] = [
            f"2026-11-20T05:58:{second:02}Z INFO serving {user.masked_secret} on [::]:{user.port}"]
    for port, line in LINES:
        runtime.machine.boxes[f"mtg-proxy-{port}"].log.append(line)
    return fleet


def fleet_on_443(data_dir: Path) -> Fleet:
    """Everybody on port 443 under a domain of one's own, with certificates of which one will be late."""
    fleet = fleet_behind_nginx(data_dir, PictureRuntime())
    fleet.set_settings({"panel_domain": "panel.example.org", "sni_mode": "own",
                        "sni_base_domain": "example.org"})
    fleet.set_settings({"port_443_mode": "true"})
    for name, declared, *_ in PEOPLE:
        fleet.add_user(name, **declared)
    now, certificates = fleet.reconciler.clock(), fleet.ledger.certificates
    names = [user.domain for user in fleet.users()]
    for name, domains, ago, days in (("panel", ["panel.example.org"], 21, 69),
                                     ("cover-1", ["example.org", *names], 79, 11)):
        certificates.succeeded(name, domains, now - ago * 86400, now + days * 86400 + 60, now - ago * 86400)
    certificates.failed("cover-1", ["example.org", *names],
                        text("the authority could not reach example.org on port 80: port 80 of this server must be "
                             "open to the internet"), now - 3600)
    return fleet


def take(browser: Browser, site: str, fleet: Fleet) -> None:
    """The handful of pictures; a phone's are two pixels to the point."""
    first = f"/users/{fleet.user('Grandma Nilufar').id}"
    shoot(browser, site, (
        ("login", 1280, "dark", "/login"),
        ("dashboard", 1280, "dark", "/"),
        ("dashboard-light", 1280, "light", "/"),
        ("users", 1280, "dark", "/users"),
        ("user", 1280, "dark", first),
        ("user-phone", 390, "dark", first),
        ("logs", 1280, "dark", "/logs"),
        ("first-run", 1280, "dark", "/setup/address"),
    ))


def take_own_page(browser: Browser, site: str, fleet: Fleet) -> None:
    """The page that a user sees, as their telephone and their language have it."""
    path = share.make_page(fleet, CLI, "Grandma Nilufar").path
    for name, width, theme, language in (("own-page", 1280, "light", "en"), ("own-page-fa", 390, "dark", "fa"),
                                         ("own-page-ru", 390, "light", "ru")):
        context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=theme,
                                      device_scale_factor=2 if width < 768 else 1, java_script_enabled=False)
        page = context.new_page()
        page.goto(f"{site}{path}?lang={language}")
        snap(page, PICTURES / f"{name}.webp", whole=width >= 768)
        context.close()


def take_settings(browser: Browser, site: str) -> None:
    shoot(browser, site, (
        ("settings", 1280, "dark", "/settings/port-443"),
        ("settings-light", 1280, "light", "/settings/port-443"),
        ("settings-phone", 390, "dark", "/settings/limits"),
    ))


def shoot(browser: Browser, site: str, shots: Iterable[tuple[str, int, str, str]]) -> None:
    """Each is a name, a width, a theme and an address."""
    for name, width, theme, path in shots:
        context, desk = open_desk(browser, site, width, theme, device_scale_factor=2 if width < 768 else 1)
        if path == "/login":
            desk.go(path)
        else:
            desk.login()
            desk.go(path)
        desk.page.wait_for_load_state("networkidle")
        # A phone's picture is its first screen; the whole page would be a ribbon.
        snap(desk.page, PICTURES / f"{name}.webp", whole=width >= 768)
        assert desk.complaints == [], desk.complaints
        context.close()


def snap(page: Page, file: Path, whole: bool) -> None:
    """A picture of the window, or of the whole page."""
    size = page.viewport_size
    if whole:
        # What sticks to the window's end belongs to the end of the picture.
        height = page.evaluate("() => document.documentElement.scrollHeight")
        page.set_viewport_size({"width": size["width"], "height": min(TALLEST, max(size["height"], height))})
    session = page.context.new_cdp_session(page)
    taken = session.send("Page.captureScreenshot", {"format": "webp", "quality": 82})
    session.detach()
    page.set_viewport_size(size)
    file.write_bytes(base64.b64decode(taken["data"]))


def full_fleet(data_dir: Path) -> Fleet:
    """The demo's people and those with odd names; plans, tags, somebody blocked, expired, deleted; backups, ways to
    tell people, a program's token."""
    fleet = demo_fleet(data_dir)
    fleet.add_plan("Family", limit_gb="100", reset_cycle="monthly 1")
    fleet.add_plan("Guests", limit_gb="5", expires_after_days="30")
    soon = f"{date.today() + timedelta(days=2)}"
    for name, declared in zip(ODD_NAMES, (
            {"tags": "work, abroad", "limit_gb": "10"}, {"plan": "Family"}, {"expires": soon},
            {"note": "A line\nand another <i>one</i>"}, {"plan": "Guests"}), strict=True):
        fleet.add_user(name, **declared)
    for name in ("Leyla", "Tomasz"):
        fleet.remove(fleet.add_user(name).id)
    fleet.create_admin("zoé", "another good password", sudo=False)
    fleet.update_user("Mehmet", {"at_limit": "block"})
    Monitor(fleet, 10).tick()
    BackupSchedule(fleet).look()
    with fleet.file.edit() as config:
        config.notifications = [Channel.model_validate(each) for each in (
            {"id": "bot", "name": "Telegram", "kind": "telegram", "secret": "1:x", "chats": [5000000001]},
            {"id": "hook", "name": "Status page", "kind": "webhook", "url": "https://status.example.org/hook",
             "secret": "x", "enabled": False})]
    tokens.create(fleet.file, NAME, "Billing", "users", 90, datetime.now(UTC))
    return fleet


def take_every_page(browser: Browser, folder: Path, word: str = "") -> None:
    """All of them, of a panel in daily use, on port 443, without users, and with trouble."""
    exhibits = (("", full_fleet, nullcontext), ("443", fleet_on_443, nullcontext), ("empty", empty_fleet, nullcontext),
                ("silent", full_fleet, silent_runtime), ("unreadable", full_fleet, unreadable))
    with tempfile.TemporaryDirectory() as data:
        for prefix, make, trouble in exhibits:
            fleet = make(Path(data) / (prefix or "full"))
            panel = create_app(fleet)
            admin = Visitor(panel.test_client())
            admin.login()
            with served(fleet) as site:
                pages = by_get(panel, fleet, admin) + (further(fleet) if prefix == "" else [])
                if prefix in ("silent", "unreadable"):
                    pages = [page for page in pages if page.name in TROUBLED]
                pages = [page for page in pages if word in f"{prefix} {page.name}"]
                with trouble(fleet):
                    take_pages(browser, site, pages, folder, prefix)


def take_pages(browser: Browser, site: str, pages: list[Shown], folder: Path, prefix: str) -> None:
    """Each at every language, theme and width."""
    for width in WIDTHS:
        context, desk = open_desk(browser, site, width)
        away, stranger = open_desk(browser, site, width)
        desk.login()
        for page in pages:
            who = stranger if page.stranger else desk
            for theme in THEMES:
                who.page.emulate_media(color_scheme=theme)
                for language in LANGUAGES:
                    who.page.context.add_cookies([{"name": "theme", "value": theme, "url": site},
                                                  {"name": "language", "value": language, "url": site}])
                    path = f"{page.path}?lang={language}" if page.path.startswith("/s/") else page.path
                    open_page(who.page, site, Shown(page.name, path, page.fields))
                    who.page.wait_for_load_state("networkidle")
                    name = "-".join(filter(None, (prefix, page.name, language, theme, str(width))))
                    snap(who.page, folder / f"{name}.webp", whole=True)
        context.close()
        away.close()


def new_fleet(data_dir: Path) -> Fleet:
    """A panel that nobody has logged in to yet; what the installer asked is answered."""
    fleet = Fleet(data_dir, PictureRuntime(), Builtin())
    fleet.set_settings({"server_ip": "203.0.113.7"})
    return fleet


def empty_fleet(data_dir: Path) -> Fleet:
    """A panel right after its first run was skipped."""
    fleet = Fleet(data_dir, PictureRuntime(), Builtin())
    fleet.create_admin(NAME, PASSWORD, sudo=True)
    first_run.end(fleet, CLI)
    return fleet


@contextmanager
def served(fleet: Fleet) -> Iterator[str]:
    """The address of the panel of this fleet."""
    fleet.set_settings({"panel_hosts": "panel.test"})
    server = make_server("127.0.0.1", 0, create_app(fleet), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://panel.test:{server.port}"
    finally:
        server.shutdown()
        thread.join()


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    wanted, word = ([*sys.argv[1:], "", ""])[:2]
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # Commands as pages show them with docker-compose.yml: no folder of whoever makes the pictures.
    os.environ["MTPROTO_VERSION"] = "v1.0.0"
    os.environ["MTPROTO_EDGE"] = "172.28.255.254"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        if wanted:
            Path(wanted).mkdir(parents=True, exist_ok=True)
            take_every_page(browser, Path(wanted), word)
            browser.close()
            return
        fleet = demo_fleet(Path(folder) / "ports")
        with served(fleet) as site:
            take(browser, site, fleet)
            take_own_page(browser, site, fleet)
        with served(fleet_on_443(Path(folder) / "443")) as site:
            take_settings(browser, site)
        browser.close()


if __name__ == "__main__":
    main()
