"""Port 443 as the fleet declares it: what is refused, what nginx is told, and what is taken back."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from app.checks.addresses import Addresses
from app.config.model import User
from app.control.errors import Refused
from app.control.pacing import AGAIN, LEARNING
from app.control.probing import link_from_here
from app.edge.base import EdgeUnavailable
from app.engines.base import by_name
from app.engines.builtin import Builtin
from app.messages import Problem, sentence, text
from app.mtproto.links import parse_link
from app.mtproto.secret import Secret
from app.runtimes.base import Place
from tests.support.fleet import Fleet
from tests.support.many import Many
from tests.support.memory_certbot import MemoryCertbot
from tests.support.memory_edge import MemoryEdge
from tests.support.memory_runtime import Machine, MemoryRuntime

HERE, ELSEWHERE = "203.0.113.7", "198.51.100.9"


def resolver(table: dict[str, str]) -> Callable[..., list[tuple]]:
    """A DNS with these names; "*.x" stands for every other name under x."""
    def resolve(host: str, *_: object) -> list[tuple]:
        address = table.get(host) or table.get("*." + host.partition(".")[2])
        if not address:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, 0))]

    return resolve


DNS = {"panel.example": HERE, "*.mine.example": HERE, "mine.example": HERE, "half.example": HERE,
       "lan.example": "192.168.1.10", "cloud.example": "169.254.169.254", "mapped.example": "::ffff:10.0.0.5",
       "nat64.example": "64:ff9b::10.0.0.5", "link.example": "fe80::5", "self.example": "127.0.0.1",
       "a.example": ELSEWHERE, "back.example": HERE, "far.example": ELSEWHERE}


class Containers(MemoryRuntime):
    """Whose workloads each have an address of their own."""

    def place(self, port: int, bind: str) -> Place:
        return Place("0.0.0.0:3128", "0.0.0.0:3129", f"{bind}:{port}")


class World:
    """A fleet with nginx and certbot beside it, all in memory."""

    def __init__(self, folder: Path) -> None:
        self.edge, self.machine, self.folder = MemoryEdge(), Machine(), folder
        self.certbot = MemoryCertbot(self.machine.now)
        self.fleet = self.open()
        self.fleet.set_settings({"server_ip": HERE})

    def open(self, **more: object) -> Fleet:
        fleet = Fleet(self.folder, Containers(self.machine), Builtin(), **{
            "edge": self.edge, "certbot": self.certbot, "addresses": Addresses(resolver(DNS)), **more})
        fleet.reconciler.clock = self.machine.now
        return fleet

    def declared(self) -> dict:
        return json.loads((self.folder / "config.json").read_text())

    def running(self) -> set[str]:
        return {name for name, box in self.machine.boxes.items() if box.state == "running"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def refused(world: World, changes: dict[str, object], words: str, field: str) -> None:
    """These settings are refused with these words, and nothing has changed."""
    before, site = world.declared(), world.edge.site
    with pytest.raises(Refused, match=words) as refusal:
        world.fleet.set_settings(changes)
    assert refusal.value.field == field
    assert world.declared() == before and world.edge.site == site


# Switching


def test_switching_off_is_refused_where_somebody_has_the_port_of_those_who_are_served_together(tmp_path: Path):
    world = World(tmp_path)
    fleet = Fleet(tmp_path, Containers(world.machine), Many(), edge=world.edge, addresses=Addresses(resolver(DNS)))
    fleet.set_settings({"port_443_mode": "true"})
    fleet.add_user("Anna")
    world.machine.taken[8443] = "another panel"
    with pytest.raises(Refused, match="8443 is taken by another program .another panel") as refusal:
        fleet.set_settings({"port_443_mode": "false"})
    assert refusal.value.problems[0].field == "shared_port" and fleet.config().port_443_mode
    fleet.set_settings({"port_443_mode": "false", "shared_port": "9443"})
    assert parse_link(fleet.user("Anna").tg_link).port == 9443


def test_switching_on_and_off_changes_no_secret_and_every_link(world: World):
    anna, boris = world.fleet.add_user("Anna"), world.fleet.add_user("Boris")
    world.fleet.set_settings({"port_443_mode": "true"})
    for before in (anna, boris):
        now = world.fleet.user(before.id)
        link = parse_link(now.tg_link)
        assert (now.secret, now.link_port, link.port, link.secret.hex) == (before.secret, 443, 443, before.secret)
        workload = world.machine.boxes[f"mtg-proxy-{now.port}"].workload
        assert workload.place.publish == "" and "proxy-protocol-listener = true" in workload.files["config.toml"]
        assert world.edge.site.routes[now.domain].startswith(f"mtg-proxy-{now.port}:")
    world.fleet.set_settings({"port_443_mode": "false"})
    assert [(u.secret, u.tg_link) for u in world.fleet.users()] == [(u.secret, u.tg_link) for u in (anna, boris)]
    assert not world.edge.site.routes


def test_links_carry_the_port_that_nginx_is_published_on(world: World):
    fleet = world.open(public_port=8443)
    fleet.set_settings({"port_443_mode": True})
    assert parse_link(fleet.add_user("Anna").tg_link).port == 8443


@pytest.mark.parametrize("trouble", ["refusal", "gone"])
def test_switching_on_is_undone_when_nginx_does_not_take_it(world: World, trouble: str):
    anna = world.fleet.add_user("Anna")
    calls = len(world.machine.calls)
    setattr(world.edge, trouble, "some.conf, line 3: no" if trouble == "refusal" else True)
    refused(world, {"port_443_mode": True}, "settings were not changed", "port_443_mode")
    assert world.fleet.user("Anna") == anna
    assert not [call for call in world.machine.calls[calls:] if call[0] in ("create", "stop", "remove", "start")]


def test_a_setting_that_nginx_refuses_is_taken_back(world: World):
    world.edge.refusal = "site.conf, line 3: no"
    refused(world, {"panel_domain": "panel.example"}, "line 3", "panel_domain")


def test_a_setting_for_an_nginx_that_is_away_is_kept_and_told_as_a_problem(world: World):
    world.edge.gone = True
    world.fleet.set_settings({"panel_domain": "panel.example"})
    status = world.fleet.status()
    assert world.declared()["panel_domain"] == "panel.example"
    assert any("docker compose up -d nginx" in problem for problem in status.problems) and status.edge.problems
    world.edge.gone = False
    world.fleet.reconcile()
    assert world.edge.site.panel_domain == "panel.example" and not world.fleet.status().edge.problems


def test_nginx_is_told_nothing_when_nothing_changed(world: World):
    world.fleet.set_settings({"port_443_mode": True})
    world.fleet.add_user("Anna")
    reloads = world.edge.reloads
    world.fleet.update_user("Anna", {"note": "x", "limit_gb": "5", "name": "Anne"})
    assert [o for o in world.fleet.reconcile() if o.action == "serve"] == [] and world.edge.reloads == reloads


def test_without_nginx_port_443_is_refused_and_a_file_that_says_so_is_served_on_ports(tmp_path: Path):
    machine = Machine()
    fleet = Fleet(tmp_path, MemoryRuntime(machine), Builtin())
    with pytest.raises(Refused, match="docker-compose.yml") as refusal:
        fleet.set_settings({"port_443_mode": "true"})
    assert refusal.value.field == "port_443_mode"
    with fleet.file.edit() as config:
        config.port_443_mode = True
    anna = fleet.add_user("Anna")
    assert (anna.link_port, anna.state) == (anna.port, "running") and fleet.status().edge is None
    assert any(problem.codes == ["declaration.no_edge"] for problem in fleet.status().problems)


def test_users_that_can_not_be_told_apart_keep_the_switch_off(world: World):
    secret = Secret.generate("a.example").hex
    with world.fleet.file.edit() as config:
        config.users = [User(id=f"u{n}", name=name, port=2443 + n, secret=secret)
                        for n, name in enumerate(("Anna", "Boris"))]
    refused(world, {"port_443_mode": True}, "'Anna' and 'Boris' both have the domain a.example", "port_443_mode")
    with world.fleet.file.edit() as config:
        config.users[1].secret = "11" * 16
    refused(world, {"port_443_mode": True}, "'Boris' has a secret without a domain", "port_443_mode")


# Settings that do not fit


@pytest.mark.parametrize("changes, words, field", [
    ({"sni_mode": "own"}, "needs a domain of yours", "sni_base_domain"),
    ({"cover_site": "proxy"}, "needs the address", "cover_url"),
    ({"mtg_timing": "urls"}, "needs addresses", "mtg_timing_urls"),
    ({"panel_domain": "mine.example", "sni_base_domain": "mine.example"}, "can't be both", "panel_domain"),
    ({"panel_domain": "far.example"}, f"{ELSEWHERE}, which is not this server", "panel_domain"),
    ({"panel_domain": "nowhere.example"}, "no address", "panel_domain"),
    ({"sni_base_domain": "far.example"}, "not this server", "sni_base_domain"),
    ({"sni_base_domain": "half.example", "sni_mode": "own"}, r"\*\.half\.example", "sni_base_domain"),
    ({"domain_pool": "a.example nodots"}, "domain_pool", "domain_pool"),
    ({"cover_url": "http://insecure.example"}, "cover_url", "cover_url"),
    ({"acme_directory": "ftp://x"}, "acme_directory", "acme_directory"),
    ({"acme_email": "me"}, "acme_email", "acme_email"),
    ({"nginx_worker_hours": "0"}, "nginx_worker_hours", "nginx_worker_hours"),
    ({"unknown_sni": "shrug"}, "unknown_sni", "unknown_sni"),
])
def test_settings_that_can_not_work_are_refused_with_the_reason(world: World, changes, words, field):
    refused(world, changes, words, field)


def test_what_a_hand_edit_got_wrong_keeps_nobody_from_changing_something_else(world: World):
    secret = Secret.generate("a.example").hex
    with world.fleet.file.edit() as config:
        config.port_443_mode, config.sni_mode, config.cover_site, config.mtg_timing = True, "own", "proxy", "urls"
        config.users = [User(id=f"u{n}", name=name, port=2443 + n, secret=secret)
                        for n, name in enumerate(("Anna", "Boris"))]
    world.fleet.set_settings({"traffic_limit_gb": "5"})
    assert world.declared()["traffic_limit_gb"] == 5
    assert any(problem.codes == ["of_user", "domain.of_user"] for problem in world.fleet.status().problems)


def test_the_panel_can_not_take_a_users_domain_nor_a_user_the_panels(world: World):
    world.fleet.add_user("Anna", domain="panel.example")
    refused(world, {"panel_domain": "panel.example"}, "'Anna'", "panel_domain")
    world.fleet.update_user("Anna", {"domain": "a.example"})
    world.fleet.set_settings({"panel_domain": "panel.example"})
    for attempt in (lambda: world.fleet.add_user("Boris", domain="panel.example"),
                    lambda: world.fleet.update_user("Anna", {"domain": "panel.example"})):
        with pytest.raises(Refused, match="panel's own name"):
            attempt()


# Domains of users


def test_a_domain_of_ones_own_pins_the_cover_and_its_name_is_checked(world: World):
    world.fleet.set_settings({"port_443_mode": True, "sni_mode": "own", "sni_base_domain": "mine.example"})
    anna = world.fleet.add_user("Anna")
    assert anna.domain.endswith(".mine.example")
    config = world.machine.boxes[f"mtg-proxy-{anna.port}"].workload.files["config.toml"]
    assert '[domain-fronting]\nip = "172.28.255.254"\nport = 8444\nproxy-protocol = true' in config
    assert set(world.edge.site.own_names) == {"mine.example", anna.domain}
    DNS["gone.mine.example"] = ELSEWHERE
    try:
        with pytest.raises(Refused, match="not this server"):
            world.fleet.add_user("Boris", domain="gone.mine.example")
    finally:
        del DNS["gone.mine.example"]


def test_a_domain_that_leads_back_to_this_server_is_refused(world: World):
    world.fleet.set_settings({"port_443_mode": True})
    with pytest.raises(Refused, match="go in circles"):
        world.fleet.add_user("Anna", domain="back.example")
    with pytest.raises(Refused, match="belongs to 'Boris'"):
        world.fleet.add_user("Boris", domain="far.example")
        world.fleet.add_user("Clara", domain="far.example")
    assert [user.name for user in world.fleet.users()] == ["Boris"]


def test_a_disabled_users_domain_leads_nowhere(world: World):
    world.fleet.set_settings({"port_443_mode": True})
    anna = world.fleet.add_user("Anna")
    world.fleet.disable("Anna")
    assert anna.domain not in world.edge.site.routes
    world.fleet.enable("Anna")
    assert anna.domain in world.edge.site.routes


# The grace period


def test_the_old_link_works_beside_the_new_one_and_then_ends(world: World):
    world.fleet.set_settings({"port_443_mode": True})
    before = world.fleet.add_user("Anna", domain="a.example")
    after = world.fleet.update_user("Anna", {"domain": "far.example"})
    old, = after.old_links
    assert old.tg_link == before.tg_link and old.domain == "a.example" and after.domain == "far.example"
    assert len(world.running()) == 2 and set(world.edge.site.routes) == {"a.example", "far.example"}
    world.machine.pass_time(timedelta(days=7, seconds=1).total_seconds())
    world.fleet.reconcile()
    assert world.running() == {f"mtg-proxy-{after.port}"} and set(world.edge.site.routes) == {"far.example"}
    assert world.fleet.user("Anna").old_links == []


def test_the_view_tells_which_link_was_last_used(world: World):
    world.fleet.set_settings({"port_443_mode": True})
    before = world.fleet.add_user("Anna", domain="a.example")
    name = f"mtg-proxy-{before.port}"
    used = 'mtg_telegram_traffic{telegram_ip="x",dc="2",direction="to_client"} 100\n'
    world.machine.metrics(name, used)
    world.machine.pass_time(-10)  # times are kept in whole seconds
    world.fleet.sample()
    assert world.fleet.user("Anna").link_last_used
    world.machine.metrics(name, "")
    world.machine.pass_time(10)
    after = world.fleet.update_user("Anna", {"domain": "far.example"})
    assert after.link_last_used is None, "the new link has not been used yet"
    before_change = after.old_links[0].last_used
    assert before_change, "and the old one keeps what is known of it"
    old_name, = world.running() - {name}
    world.machine.metrics(old_name, used)
    world.machine.pass_time(5)
    world.fleet.sample()
    view = world.fleet.user("Anna")
    assert view.old_links[0].last_used > before_change and view.link_last_used is None
    assert view.bytes_down == 200, "both links are billed to the same user"


def test_links_of_a_throttled_user_that_are_in_use_share_the_speed(world: World):
    world.fleet.set_settings({"port_443_mode": True})
    anna = world.fleet.add_user("Anna", domain="a.example", limit_gb="0.001", speed_mbps="2")
    world.fleet.update_user("Anna", {"domain": "far.example"})
    name = f"mtg-proxy-{anna.port}"
    old_name, = world.running() - {name}

    def moved(count: int, *names: str) -> dict[str, int | None]:
        for each in names:
            world.machine.metrics(
                each, f'mtg_telegram_traffic{{telegram_ip="x",dc="2",direction="to_client"}} {count}\n')
        world.fleet.sample()
        world.fleet.reconcile()
        return {"today's": world.machine.boxes[name].limit, "old": world.machine.boxes[old_name].limit}

    assert moved(2_000_000, name) == {"today's": 2_000_000, "old": 2_000_000}
    assert moved(3_000_000, name, old_name) == {"today's": 1_000_000, "old": 1_000_000}
    world.machine.pass_time(3601)
    assert moved(4_000_000, name) == {"today's": 2_000_000, "old": 2_000_000}


def test_a_user_who_is_blocked_with_two_links_is_noted_once(world: World):
    world.fleet.set_settings({"port_443_mode": True})
    anna = world.fleet.add_user("Anna", domain="a.example", limit_gb="0.001", at_limit="block")
    world.fleet.update_user("Anna", {"domain": "far.example"})
    world.machine.metrics(f"mtg-proxy-{anna.port}",
                          'mtg_telegram_traffic{telegram_ip="x",dc="2",direction="to_client"} 2000000\n')
    world.fleet.sample()
    world.fleet.reconcile()
    assert world.running() == set()
    assert [e.action for e in world.fleet.events("Anna")].count("user.blocked") == 1


# Certificates


def test_certificates_are_asked_for_served_and_told(world: World):
    world.fleet.set_settings({"panel_domain": "panel.example", "sni_base_domain": "mine.example"})
    outcomes = world.fleet.renew_certificates(actor="admin:a")
    assert {(o.name, o.ok) for o in outcomes} == {("panel", True), ("cover-1", True)}
    assert {c.name for c in world.edge.site.certificates} == {"panel", "cover-1"}
    views = {view.name: view for view in world.fleet.certificates()}
    assert views["panel"].domains == ["panel.example"] and 88 <= views["panel"].days_left <= 90
    assert world.fleet.status().edge.panel_https
    assert [e.action for e in world.fleet.ledger.events.recent(50)].count("certificate.issued") == 2


def test_a_certificate_that_is_refused_is_a_problem_with_its_reason(world: World):
    world.fleet.set_settings({"panel_domain": "panel.example"})
    world.certbot.refused = {"panel.example"}
    outcome, = world.fleet.renew_certificates(actor="admin:a")
    assert not outcome.ok
    assert any(problem.codes[0] == "certificate.trouble" and "panel.example" in problem
               for problem in world.fleet.status().problems)
    failed, = [event for event in world.fleet.ledger.events.recent(50) if event.action == "certificate.failed"]
    assert (failed.actor, failed.subject) == ("admin:a", "panel") and "could not check" in failed.detail


def test_without_certbot_nobody_can_be_asked(tmp_path: Path):
    fleet = Fleet(tmp_path, MemoryRuntime(Machine()), Builtin())
    with pytest.raises(Refused, match="docker-compose.yml"):
        fleet.renew_certificates()
    assert fleet.certificates() == []


# Slow proxies


def test_a_proxy_that_could_not_learn_its_timing_is_shown_as_slow_until_it_has(world: World):
    told = [Problem("mtg.not_learned", {"url": "https://…", "minutes": 5, "reason": "refused"}), text("and more")]

    class Learner(Builtin):
        def findings(self, log: str, started_at: float = 0.0, now: float = 0.0) -> list[Problem]:
            return list(told)

    world.fleet.pacing.engines = by_name(Learner())
    world.fleet.add_user("Anna")
    world.fleet.look_for_slow_proxies()
    assert world.fleet.user("Anna").slow == "", "it may still be learning"
    world.machine.pass_time(LEARNING + 1)
    world.fleet.look_for_slow_proxies()
    assert world.fleet.user("Anna").slow == "; ".join(map(sentence, told))
    told.pop()
    world.machine.pass_time(AGAIN + 1)
    world.fleet.look_for_slow_proxies()
    assert world.fleet.user("Anna").slow == sentence(told[0])
    told.clear()
    world.machine.pass_time(AGAIN + 1)
    world.fleet.look_for_slow_proxies()
    assert world.fleet.user("Anna").slow == ""


# What would harm everybody


def test_a_secret_whose_domain_nginx_can_not_be_told_of_keeps_nobody_else_from_port_443(world: World):
    strange = Secret.generate("a.example").hex.replace(b"a.example".hex(), b"A.example".hex())
    world.fleet.add_user("Anna", domain="far.example")
    with world.fleet.file.edit() as config:
        config.users[0].secret = strange
    refused(world, {"port_443_mode": True}, "'Anna' .* has to be written a.example", "port_443_mode")
    with world.fleet.file.edit() as config:
        config.port_443_mode = True
    boris = world.fleet.add_user("Boris", domain="a.example")
    assert set(world.edge.site.routes) == {boris.domain} and boris.state == "running"
    assert any(problem.codes == ["of_user", "domain.spelling"] for problem in world.fleet.status().problems)
    with pytest.raises(Refused, match="has to be written"):
        world.fleet.update_user("Boris", {"secret": strange})


def test_the_trouble_of_an_nginx_that_is_away_is_told_all_the_time_and_noted_once(world: World):
    world.edge.gone = True
    for _ in range(60):
        world.machine.pass_time(10)
        world.fleet.reconcile(respect_backoff=True)
        assert world.fleet.status().edge.problems
    assert [event.action for event in world.fleet.ledger.events.recent(100)].count("nginx.failed") == 1
    world.edge.gone = False
    world.machine.pass_time(61)  # so soon is it noticed that somebody has repaired it
    world.fleet.reconcile(respect_backoff=True)
    assert not world.fleet.status().edge.problems


def test_what_traefik_could_not_do_is_told_as_its_own(world: World):
    world.edge.apply = lambda site: (_ for _ in ()).throw(EdgeUnavailable("traefik.missing", reason="x", compose="y"))
    failed, = [outcome for outcome in world.fleet.reconcile() if not outcome.ok]
    event, = [each for each in world.fleet.ledger.events.recent(100) if each.action.endswith(".failed")]
    assert (failed.name, event.action, event.subject) == ("traefik", "traefik.failed", "traefik")
    del world.edge.apply
    world.fleet.reconcile()
    assert not world.fleet.status().edge.problems


@pytest.mark.parametrize("changes, field", [
    ({"sni_base_domain": ""}, "sni_base_domain"), ({"sni_base_domain": "half.example"}, "sni_base_domain"),
    ({"domain_fronting_ip": ""}, "domain_fronting_ip")])
def test_no_change_of_settings_sends_those_who_probe_a_user_round_in_a_circle(world: World, changes, field: str):
    pinned = ({"domain_fronting_ip": "192.0.2.1"} if field == "domain_fronting_ip" else
              {"sni_base_domain": "mine.example"})
    world.fleet.set_settings({"port_443_mode": True, **pinned})
    world.fleet.add_user("Anna", domain="www.mine.example")
    refused(world, changes, "www.mine.example, the domain of 'Anna'.* in circles", field)
    if "sni_base_domain" in pinned:
        world.fleet.update_user("Anna", {"domain": "a.example"})
        refused(world, changes, "an old link of 'Anna'.* in circles", field)
    world.fleet.rotate("Anna")
    world.fleet.update_user("Anna", {"domain": "far.example", "secret": Secret.generate("far.example").hex})
    world.fleet.set_settings(changes)


def test_port_443_is_not_switched_on_for_a_user_whose_domain_leads_back_here(world: World):
    world.fleet.add_user("Anna", domain="back.example")
    refused(world, {"port_443_mode": True}, "back.example, the domain of 'Anna'.* in circles", "port_443_mode")


def test_the_panel_does_not_take_the_name_of_an_old_link(world: World):
    world.fleet.set_settings({"port_443_mode": True, "domain_fronting_ip": "192.0.2.1"})
    world.fleet.add_user("Anna", domain="panel.example")
    world.fleet.update_user("Anna", {"domain": "far.example"})
    refused(world, {"panel_domain": "panel.example"}, "the domain of an old link of 'Anna'", "panel_domain")


def test_an_old_link_that_can_not_be_served_is_a_problem_that_is_told(world: World):
    world.fleet.set_settings({"port_443_mode": True})
    world.fleet.add_user("Anna", domain="a.example")
    world.fleet.update_user("Anna", {"domain": "far.example"})
    with world.fleet.file.edit() as config:
        config.panel_domain = "a.example"
    world.fleet.reconcile()
    assert any(p.startswith("Anna, previous link (a.example): ") for p in world.fleet.status().problems)


def test_without_nginx_a_new_user_does_not_get_a_port_that_somebody_has(tmp_path: Path):
    machine = Machine()
    fleet = Fleet(tmp_path, MemoryRuntime(machine), Builtin())
    machine.taken[2443] = "nginx"
    with fleet.file.edit() as config:
        config.port_443_mode = True
    assert fleet.add_user("Anna").port == 2444


def test_how_many_names_lead_to_users_counts_nobody_whose_proxy_does_not_run(world: World):
    world.fleet.set_settings({"port_443_mode": True})
    for name in ("Anna", "Boris"):
        world.fleet.add_user(name)
    with world.fleet.file.edit() as config:
        config.users[0].expires_at = config.users[0].created_at - timedelta(days=1)
    world.fleet.reconcile()
    assert world.fleet.status().edge.names == 1


# Names that lead inside

INSIDE = ("lan.example", "cloud.example", "mapped.example", "nat64.example", "link.example", "self.example")


@pytest.mark.parametrize("port_443", [True, False])
@pytest.mark.parametrize("nginx", [True, False])
def test_no_user_has_a_domain_that_leads_strangers_to_an_address_inside(tmp_path: Path, port_443: bool, nginx: bool):
    world = World(tmp_path)
    fleet = world.open(**({} if nginx else {"edge": None, "certbot": None}))
    if port_443 and nginx:
        fleet.set_settings({"port_443_mode": True})
    fleet.add_user("Anna", domain="a.example")
    before = world.declared()
    for domain in INSIDE:
        secret = Secret.generate(domain).hex
        for attempt in (lambda: fleet.add_user("Boris", domain=domain),
                        lambda: fleet.update_user("Anna", {"domain": domain}),
                        lambda: fleet.update_user("Anna", {"secret": secret})):
            with pytest.raises(Refused, match=f"{domain} leads to .*not a public address"):
                attempt()
    assert world.declared() == before


def test_with_an_address_for_all_strangers_a_name_may_lead_anywhere_until_that_is_taken_away(world: World):
    world.fleet.set_settings({"domain_fronting_ip": "192.168.1.10"})
    world.fleet.add_user("Anna", domain="lan.example")
    refused(world, {"domain_fronting_ip": ""}, "lan.example, the domain of 'Anna', leads to 192.168.1.10",
            "domain_fronting_ip")


def test_a_network_of_the_stack_itself_is_inside_whatever_its_addresses_are(world: World):
    fleet = world.open(networks=(ipaddress.ip_network(f"{ELSEWHERE}/32"),))
    with pytest.raises(Refused, match="not a public address"):
        fleet.add_user("Anna", domain="far.example")


@pytest.mark.parametrize("mode", [False, True])
def test_a_public_port_changes_links_and_nothing_that_runs(world: World, mode: bool):
    anna, boris = world.fleet.add_user("Anna"), world.fleet.add_user("Boris")
    world.fleet.set_settings({"port_443_mode": mode})
    listened = [user.link_port for user in world.fleet.users()]
    calls = len(world.machine.calls)
    world.fleet.set_settings({"public_port": "8443"})
    world.fleet.update_user(boris.id, {"public_port": "9443"})
    assert [parse_link(user.tg_link).port for user in world.fleet.users()] == [8443, 9443]
    assert [link_from_here(user).port for user in world.fleet.users()] == listened
    world.fleet.update_user(boris.id, {"public_port": ""})
    world.fleet.set_settings({"public_port": "0"})
    assert [user.link_port for user in world.fleet.users()] == listened
    assert not [call for call in world.machine.calls[calls:] if call[0] in ("create", "stop", "remove", "start")]
    for odd in ("-1", "65536", "x", "٣"):
        with pytest.raises(Refused):
            world.fleet.update_user(anna.id, {"public_port": odd})
        with pytest.raises(Refused):
            world.fleet.set_settings({"public_port": odd})


def test_the_edge_waits_after_a_failure_by_a_clock_of_its_own(world):
    world.fleet.set_settings({"port_443_mode": True})
    world.edge.refusal = "unknown directive"
    user = world.fleet.add_user("Anna")
    assert user.state == "running" and "unknown directive" in world.fleet.status().edge.trouble
    world.edge.refusal = ""
    world.machine.crash(next(iter(world.machine.boxes)))
    outcomes = world.fleet.reconcile(respect_backoff=True)
    assert [o.action for o in outcomes] == ["start"], "the workload is none of nginx's"
    assert "unknown directive" in world.fleet.status().edge.trouble, "nothing says that it is well again"
    now = world.fleet.reconciler.clock()
    world.fleet.reconciler.clock = lambda: now + 61
    assert [o.action for o in world.fleet.reconcile(respect_backoff=True)] == ["serve"]
    assert world.fleet.status().edge.trouble == ""
