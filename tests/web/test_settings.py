"""The settings page: who may see it, what it changes, and how it says no."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from app import create_app
from app.certificates.certbot import CertificateFailure
from app.checks.tls import check_all
from app.config.model import SETTINGS
from app.engines.base import by_name
from app.engines.builtin import Builtin
from app.engines.mtg.engine import Mtg
from app.engines.telemt.engine import Telemt
from app.messages import text as told
from app.web.setting_groups import GROUPS
from tests.support.cover import Cover
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime
from tests.web.behind_nginx import fleet_behind_nginx
from tests.web.html import read, text
from tests.web.settings_pages import at, every_page
from tests.web.visitor import NAME, PASSWORD, Visitor

OWN = {"sni_mode": "own", "sni_base_domain": "example.org"}
POOL = "\n".join(f"www.site{number}.example" for number in range(3))


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return fleet_behind_nginx(tmp_path / "data", MemoryRuntime())


def fields(page: str) -> dict[str, str]:
    """What the browser would send for this page, but for the token."""
    sent: dict[str, str] = {}
    for element in read(page):
        attributes = element.attributes
        name, kind = attributes.get("name", ""), attributes.get("type", "text")
        if kind in ("radio", "checkbox") and "checked" not in attributes:
            continue
        if element.tag == "textarea":
            sent[name] = element.text.strip("\r\n")
        elif element.tag == "input" and name not in ("", "csrf_token"):
            sent.setdefault(name, attributes.get("value", ""))
    return sent


def change(admin: Visitor, action: str = "", **typed: str):
    """The page of these settings as it is now, sent with these changes to its fields."""
    page = at(next(iter(typed), "acme_email"))
    return admin.post(action or page, fields(admin.get(page).get_data(as_text=True)) | typed)


def beside(page: str, name: str) -> str:
    """What is said to be wrong with a field, "" if nothing is."""
    return next((" ".join(e.text.split()) for e in read(page)
                 if e.attributes.get("id") == f"{name}-error"), "")


def rows(page: str) -> list[str]:
    return [" ".join(e.text.split()) for e in read(page) if e.tag == "tr" and "tbody" in e.inside]


def marks(page: str) -> list[tuple[str, str]]:
    """The coloured marks in tables: (tone, words)."""
    return [(e.attributes["class"].split()[-1], e.text) for e in read(page)
            if e.tag == "span" and "td" in e.inside and "state" in e.attributes.get("class", "").split()]


# Who may


def test_an_admin_without_sudo_neither_sees_nor_changes_settings(
        fleet: Fleet, stranger: Visitor, declaration: Path) -> None:
    fleet.create_admin("bob", "only hands out links")
    stranger.login("bob", "only hands out links")
    assert "/settings" not in stranger.get("/").get_data(as_text=True)
    before = declaration.read_bytes()
    for answer in (stranger.get("/settings"), stranger.post(at("server_ip"), {"server_ip": "192.0.2.1"}),
                   stranger.post("/settings/domains"), stranger.post("/settings/certificates")):
        page = text(answer.get_data(as_text=True))
        assert answer.status_code == 403 and "only owners may see and change them, such as admin" in page
    assert declaration.read_bytes() == before
    assert fleet.port443.certificates.certbot.requests == []


def test_the_first_admin_always_may(fleet: Fleet, stranger: Visitor, declaration: Path) -> None:
    stranger.login("admin", json.loads(declaration.read_text())["_initial_password"])
    assert "/settings" in {e.attributes.get("href") for e in read(stranger.get("/").get_data(as_text=True))}
    assert stranger.get("/settings", follow_redirects=True).status_code == 200


# What is changed


def test_every_setting_is_on_one_page(admin: Visitor) -> None:
    assert sorted(key for group in GROUPS for key in group.keys) == sorted(SETTINGS)
    page = read(every_page(admin))
    assert {*SETTINGS} <= {e.attributes.get("name") for e in page}
    labels = {e.attributes["for"] for e in page if e.tag == "label" and "for" in e.attributes}
    controls = {e.attributes.get("id") for e in page if e.tag in ("input", "textarea")
                and e.attributes.get("type") not in ("hidden", "search")}
    assert controls <= labels, "every control has a label"


def test_the_page_holds_what_is_declared_and_saving_it_changes_nothing(
        admin: Visitor, fleet: Fleet, declaration: Path) -> None:
    fleet.set_settings(OWN | {"domain_pool": POOL, "unknown_sni": "close", "cover_site": "folder",
                              "domain_grace_days": "3", "mtg_timing": "urls", "acme_email": "ada@example.org",
                              "mtg_timing_urls": "https://example.org/a.bin https://example.org/b.bin"})
    shown = fields(every_page(admin))
    assert shown.items() >= {"sni_mode": "own", "domain_pool": POOL, "unknown_sni": "close",
                             "domain_grace_days": "3"}.items()
    assert shown["mtg_timing_urls"].split() == ["https://example.org/a.bin", "https://example.org/b.bin"]
    assert shown["port_443_mode"] == "false"
    before = declaration.read_bytes()
    for group in GROUPS[:-1]:
        sent = fields(admin.get(f"/settings/{group.name}").text)
        sent |= {"domain_pool": POOL.replace("\n", "\r\n")} if group.name == "links" else {}
        answer = admin.post(f"/settings/{group.name}", sent, follow_redirects=True)
        assert "Nothing was changed" in text(answer.get_data(as_text=True)), group
    assert declaration.read_bytes() == before


def test_only_what_differs_is_changed_and_it_is_in_the_audit_log(admin: Visitor, fleet: Fleet) -> None:
    answer = change(admin, domain_grace_days="9", domain_pool="www.a.example, www.b.example www.a.example")
    assert (answer.status_code, answer.location) == (302, "/settings/links")
    config = fleet.config()
    assert (config.domain_grace_days, config.domain_pool) == (9, ["www.a.example", "www.b.example"])
    event = fleet.ledger.events.recent(1)[0]
    assert (event.actor, event.action) == ("admin:ada", "settings.changed")
    assert set(event.detail.split(", ")) == {"domain_grace_days", "domain_pool"}


def test_a_page_that_was_open_for_long_takes_nothing_back_that_others_changed(
        admin: Visitor, fleet: Fleet) -> None:
    old = fields(admin.get(at("sni_mode")).get_data(as_text=True))
    fleet.set_settings(OWN | {"domain_grace_days": "30"})
    admin.post(at("sni_mode"), old | {"domain_pool": "www.a.example"})
    config = fleet.config()
    assert (config.domain_pool, config.sni_base_domain, config.domain_grace_days) == (
        ["www.a.example"], "example.org", 30)


#: what is typed, the field that is told to be wrong, and what of it
REFUSED = [
    ({"server_ip": "203.0.113"}, "server_ip", "'203.0.113' is not allowed; allowed: an IPv4 or IPv6 address"),
    ({"server_domain": "a b"}, "server_domain", "'a b' is not allowed"),
    ({"domain_grace_days": "many"}, "domain_grace_days", "a whole number from 0 to 365"),
    ({"domain_grace_days": ""}, "domain_grace_days", "a whole number from 0 to 365"),
    ({"nginx_worker_hours": "0"}, "nginx_worker_hours", "a whole number from 1 to 720"),
    ({"domain_pool": POOL + "\nunder_score.com"}, "domain_pool", "'under_score.com'"),
    ({"acme_directory": "http://acme.example/"}, "acme_directory", "https address"),
    ({"acme_email": "ada"}, "acme_email", "e-mail address"),
    ({"unknown_sni": "dance"}, "unknown_sni", "'dance' is not allowed"),
    ({"cover_site": "proxy"}, "cover_url", "needs the address of the site"),
    ({"cover_url": "https://www.example.org/path"}, "cover_url", "without a path"),
    ({"mtg_timing": "urls"}, "mtg_timing_urls", "needs addresses"),
    ({"sni_mode": "own"}, "sni_base_domain", "needs a domain of yours"),
    ({"sni_mode": "own", "sni_base_domain": "example.com"}, "sni_base_domain",
     "the A record of example.com is 192.0.2.80, which is not this server"),
    ({"panel_domain": "panel.example.invalid"}, "panel_domain", "panel.example.invalid"),
]


def test_a_refusal_is_beside_its_field_and_what_was_typed_stays(
        admin: Visitor, fleet: Fleet, declaration: Path) -> None:
    before = declaration.read_bytes()
    for changes, field, words in REFUSED:
        kept = {"/settings/general": {"public_port": "444"}, "/settings/links": {"domain_fronting_port": "444"},
                "/settings/port-443": {"nginx_connections_per_address": "1000"},
                "/settings/panel": {"share_hostname": "a.example.org"}, "/settings/engines": {"proxy_memory_mb": "300"}}
        typed = changes | kept[at(next(iter(changes)))]
        answer = change(admin, **typed)
        page = answer.get_data(as_text=True)
        assert answer.status_code == 422, changes
        assert words.lower() in beside(page, field).lower(), changes
        assert "Nothing was saved." in text(page)
        shown = fields(page)
        # No radio button can show a choice that there is not.
        assert {name: shown[name] for name in typed if typed[name] != "dance"} == {
            name: value for name, value in typed.items() if value != "dance"}
    assert declaration.read_bytes() == before


def test_a_list_with_many_wrong_words_names_the_first_and_counts_the_rest(admin: Visitor) -> None:
    page = change(admin, domain_pool="a b c d e").get_data(as_text=True)
    told = beside(page, "domain_pool")
    assert told.startswith("'a' ") and told.endswith("And 2 more.")


def test_what_nginx_refuses_is_not_kept(admin: Visitor, fleet: Fleet, declaration: Path) -> None:
    before = fleet.settings()
    fleet.port443.edge.refusal = "custom.d/mine.conf, line 3: unknown directive \"sever\""
    answer = change(admin, nginx_worker_hours="12")
    assert answer.status_code == 422
    assert "custom.d/mine.conf, line 3" in beside(answer.get_data(as_text=True), "nginx_worker_hours")
    assert fleet.settings() == before


def test_what_traefik_does_otherwise_is_told_where_it_stands_before_nginx(
        admin: Visitor, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Traefik" not in every_page(admin)
    monkeypatch.setattr(fleet.port443.edge, "name", "traefik")
    page = every_page(admin)
    assert "Traefik accepts every connection there" in page and "closed without an answer" in page
    assert fleet.status().to_json()["edge"]["router"] == "traefik"


def test_mangled_forms_are_never_a_500(admin: Visitor) -> None:
    token = admin.token().encode()
    for body in (b"shown=%ff", b"shown=[]", b'shown={"domain_pool":1}', b"shown=null", b"", b"server_ip=%00",
                 b"server_ip=a&server_ip=b", b"port_443_mode=maybe", b"domain_pool=%ED%A0%80"):
        for path in (at("server_ip"), at("domain_pool"), "/settings/certificates"):
            answer = admin.client.post(path, data=b"csrf_token=" + token + b"&" + body,
                                       content_type="application/x-www-form-urlencoded")
            assert answer.status_code in (200, 302, 422), (path, body)


# Port 443


def test_port_443_is_switched_only_after_a_question_and_then_links_say_443(
        admin: Visitor, fleet: Fleet, declaration: Path) -> None:
    alice = fleet.add_user("Alice")
    before = declaration.read_bytes()
    question = change(admin, port_443_mode="true", acme_email="ada@example.org").get_data(as_text=True)
    assert "Move all users to port 443?" in text(question) and "The port in every link becomes 443" in text(question)
    assert "Your other changes on the page are saved, too." in text(question)
    assert declaration.read_bytes() == before

    back = admin.post(at("port_443_mode"), fields(question) | {"sure": "no"})
    assert back.status_code == 200 and declaration.read_bytes() == before
    typed = fields(back.get_data(as_text=True))
    assert (typed["port_443_mode"], typed["acme_email"]) == ("true", "ada@example.org")

    done = admin.post(at("port_443_mode"), fields(question) | {"sure": "yes"}, follow_redirects=True)
    assert "All users are on port 443 now." in text(done.get_data(as_text=True))
    after = fleet.user(alice.id)
    assert (after.link_port, after.secret) == (443, alice.secret)
    assert fleet.config().acme_email == "ada@example.org"
    assert "1 name leads to users now." in text(done.get_data(as_text=True))
    assert set(fleet.port443.edge.site.routes) == {alice.domain}

    question = change(admin, port_443_mode="false").get_data(as_text=True)
    assert "Switch port 443 off?" in text(question)
    admin.post(at("port_443_mode"), fields(question) | {"sure": "yes"})
    assert fleet.user(alice.id).tg_link == alice.tg_link


def test_port_443_that_does_not_come_up_is_off_again_and_says_why(admin: Visitor, fleet: Fleet) -> None:
    alice = fleet.add_user("Alice")
    fleet.port443.edge.gone = True
    answer = change(admin, port_443_mode="true", sure="yes")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "docker compose up -d nginx" in beside(page, "port_443_mode")
    assert fields(page)["port_443_mode"] == "true", "what was asked for stays on the page"
    assert not fleet.config().port_443_mode and fleet.user(alice.id).tg_link == alice.tg_link


def test_the_switch_says_in_words_whether_it_is_on(admin: Visitor) -> None:
    page = every_page(admin)
    switch = next(e for e in read(page) if e.attributes.get("id") == "port_443_mode")
    assert "port_443_mode-hint" in switch.attributes["aria-describedby"]
    assert "Off now" in text(page) and "On now" not in text(page)


class TestWithoutNginx:
    @pytest.fixture
    def fleet(self, tmp_path: Path) -> Fleet:
        from app.engines.builtin import Builtin
        from tests.web.visitor import NAME, PASSWORD

        fleet = Fleet(tmp_path / "data", MemoryRuntime(), Builtin())
        fleet.create_admin(NAME, PASSWORD, sudo=True)
        return fleet

    def test_there_is_no_switch_but_the_way_to_one(self, admin: Visitor) -> None:
        page = every_page(admin)
        assert not any(e.attributes.get("name") == "port_443_mode" for e in read(page))
        assert "Port 443 needs nginx in front of the panel" in text(page) and "docs/docker.md" in text(page)
        assert not any("certificates" in e.attributes.get("formaction", "") for e in read(page))

    def test_what_the_page_does_not_have_is_left_alone(self, admin: Visitor, fleet: Fleet) -> None:
        before = fleet.settings()
        assert change(admin, domain_pool=POOL).status_code == 302
        assert fleet.settings() == before | {"domain_pool": POOL.split()}

    def test_who_asks_for_it_all_the_same_is_told_what_is_missing(self, admin: Visitor, fleet: Fleet) -> None:
        answer = change(admin, port_443_mode="true", sure="yes")
        assert answer.status_code == 422
        told = text(answer.get_data(as_text=True))
        assert "needs the nginx of docker-compose.yml" in told
        assert not fleet.config().port_443_mode


# The domains


def test_the_domains_are_checked_as_typed_and_nothing_is_saved(
        admin: Visitor, fleet: Fleet, declaration: Path, cover: Cover,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.actions.settings.check_all", partial(
        check_all, address=cover.ip, port=cover.port, ca=str(cover.cert)))
    before = declaration.read_bytes()
    typed = {"domain_pool": f"{cover.host}\nwww.other.example", "domain_fronting_ip": "typed"}
    answer = change(admin, "/settings/domains", **typed)
    page = answer.get_data(as_text=True)
    report = next(text(f"<html>{e.text}</html>") for e in read(page) if e.attributes.get("id") == "reached")
    assert answer.status_code == 200
    assert "1 of 2 can be used" in report
    assert "www.other.example" in report and "certificate is not valid" in report
    assert f"{cover.host}" in report and " ms" in report
    assert fields(page)["domain_fronting_ip"] == "typed" and fields(page)["domain_pool"].split() == [
        cover.host, "www.other.example"]
    assert declaration.read_bytes() == before


# Certificates

DAY = 86400


def test_the_table_says_for_whom_until_when_and_what_failed(admin: Visitor, fleet: Fleet) -> None:
    now = fleet.reconciler.clock()
    ledger = fleet.ledger.certificates
    for name, days in (("cover-1", 60), ("cover-2", 13), ("cover-3", 6), ("cover-4", -1)):
        names = [f"{name}.example.org", *(f"user{n}.example.org" for n in range(50 if days == 60 else 0))]
        ledger.succeeded(name, names, now - 30 * DAY, now + (days + 0.5) * DAY, now - 30 * DAY)
    why = "port 80 of this server must be open to the internet"
    ledger.failed("cover-5", ["late.example.org"], told(why), now - 7200)
    page = every_page(admin)
    assert marks(page) == [("state-good", "60 days left"), ("state-warn", "13 days left"),
                           ("state-bad", "6 days left"), ("state-bad", "Expired"),
                           ("state-bad", "Not issued yet")]
    assert "and 49 more" in rows(page)[0] and "user48.example.org" in rows(page)[0]
    assert "Failed 2 h ago: port 80 of this server must be open" in rows(page)[4] and "never" in rows(page)[4]
    dashboard = text(admin.get("/").get_data(as_text=True))
    assert "expires in 13 days" in dashboard and "port 80 of this server must be open" in dashboard


def test_renew_now_asks_for_what_is_missing_and_says_how_it_went(
        admin: Visitor, fleet: Fleet) -> None:
    fleet.set_settings({"panel_domain": "panel.example.org"})
    certbot = fleet.port443.certificates.certbot
    certbot.requests.clear()
    certbot.failure = CertificateFailure("the authority does not answer")
    page = change(admin, "/settings/certificates", acme_email="typed@example.org").get_data(as_text=True)
    assert "panel: the authority does not answer" in text(page)
    assert fields(page)["acme_email"] == "typed@example.org" and fleet.config().acme_email == ""

    certbot.failure = None
    page = change(admin, "/settings/certificates").get_data(as_text=True)
    assert "Renewed: panel." in text(page) and "89 days left" in text(page)
    assert {name for name, *_ in certbot.requests} == {"panel"}
    assert "Nothing to renew" in text(change(admin, "/settings/certificates").get_data(as_text=True))


def test_nothing_is_renewed_where_no_name_needs_a_certificate(admin: Visitor) -> None:
    page = text(change(admin, "/settings/certificates").get_data(as_text=True))
    assert "no name needs a certificate" in page and "good for long" not in page


# Words


def test_a_refusal_calls_settings_as_the_page_does(admin: Visitor) -> None:
    for typed, field, words in (
            ({"sni_mode": "own"}, "sni_base_domain", '"Own domain" needs a domain of yours in "Your domain"'),
            ({"panel_domain": "elsewhere.example"}, "panel_domain", 'set "IP address in links" if')):
        told = beside(change(admin, **typed).get_data(as_text=True), field)
        assert words in told and "_" not in told


def test_an_empty_list_of_domains_is_not_called_checked(admin: Visitor) -> None:
    answer = change(admin, "/settings/domains", domain_pool=" ")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422 and "list is empty" in beside(page, "domain_pool")
    assert "0 of 0" not in text(page)


def test_an_nginx_that_is_gone_is_told_where_the_links_are_and_where_it_is_switched(
        admin: Visitor, fleet: Fleet) -> None:
    alice = fleet.add_user("Alice")
    change(admin, port_443_mode="true", sure="yes")
    paths = ("/settings/port-443", f"/users/{alice.id}")
    assert not any("nginx is not there" in admin.get(path).get_data(as_text=True).lower() for path in paths)
    fleet.port443.edge.gone = True
    fleet.reconcile()
    for path in paths:
        told = [e.text for e in read(admin.get(path).get_data(as_text=True)) if e.attributes.get("id") == "trouble"]
        assert len(told) == 1 and "docker compose up -d nginx" in told[0], path


def test_amounts_stand_in_their_fields_as_people_write_them(admin: Visitor, fleet: Fleet) -> None:
    fleet.set_settings({"traffic_limit_gb": "5", "throttle_speed_mbps": "0.25", "at_limit": "block"})
    page = every_page(admin)
    assert 'value="5"' in page and 'value="0.25"' in page
    assert 'value="5.0"' not in page and "Slow down</option>" in page


def test_what_would_reconnect_people_is_said_before_it_is_saved(admin: Visitor, fleet: Fleet) -> None:
    for name in ("Alice", "Bob"):
        fleet.add_user(name)
    fleet.add_user("Carol", enabled=False)
    form = {"proxy_concurrency": "512", "mtproxy_workers": "2"}
    page_of = at("proxy_concurrency")
    answer = admin.post(page_of, form)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 200 and "The proxies of 2 users restart once." in page
    assert "Nobody of them is connected now." in page and fleet.settings()["proxy_concurrency"] == 4096
    assert 'value="512"' in admin.post(page_of, {**form, "sure": "no"}).get_data(as_text=True)
    assert admin.post(page_of, {**form, "sure": "yes"}).status_code == 302
    assert (fleet.settings()["proxy_concurrency"], fleet.settings()["mtproxy_workers"]) == (512, 2)
    # What interrupts nobody is not asked for, and what is refused stands beside its field.
    quiet = {"traffic_limit_gb": "5", "reset_cycle": "weekly monday"}
    assert admin.post(at("traffic_limit_gb"), quiet).status_code == 302
    assert admin.post(page_of, {"proxy_concurrency": "1"}).status_code == 422


def test_a_new_release_is_shown_where_the_host_tells_of_it_and_asked_for_by_a_button(
        admin: Visitor, fleet: Fleet) -> None:
    told = fleet.data_dir / "update.json"
    assert "mtproto update --panel on" in every_page(admin)
    page = admin.post("/settings/update", follow_redirects=True).text
    assert "does not take updates from the panel" in page and not (fleet.data_dir / "update.wanted").exists()
    for odd in ("", "[]", "{}", '{"installed": 1}', "\xff"):
        told.write_text(odd, encoding="latin-1")
        assert admin.get("/settings/general").status_code == 200, odd
    told.write_text(json.dumps({"installed": "v1", "newest": "v1", "at": 1, "result": ""}))
    assert "This is the newest version" in every_page(admin)
    told.write_text(json.dumps({"installed": "v1", "newest": "v2 <b>", "at": 1, "result": "it was taken back: x"}))
    page = every_page(admin)
    assert "Update to v2 &lt;b&gt;" in page and "taken back: x" in page
    page = admin.post("/settings/update", follow_redirects=True).text
    assert "begins within seconds" in page and "Update to" not in page
    assert (fleet.data_dir / "update.wanted").read_text() == "v2 <b>"
    assert any((e.actor, e.action) == ("admin:ada", "update.requested") for e in fleet.events())


def test_the_engines_are_compared_with_what_they_cost_beside_the_choice(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "engines", MemoryRuntime(), by_name(Telemt("/usr/bin/telemt"), Builtin()))
    fleet.create_admin(NAME, PASSWORD, sudo=True)
    admin = Visitor(create_app(fleet).test_client())
    admin.login()
    cells = [e for e in read(every_page(admin))
             if e.tag in ("th", "td") and "table" in e.inside]
    table = [[cell.text for cell in cells[at:at + 3]] for at in range(0, len(cells), 3)]
    assert table[0] == ["", "telemt", "built-in"]
    told = {title: rest for title, *rest in table}
    assert told["Memory, 200 users"] == ["17 MB", "3,322 MB"]
    assert told["A failure affects"] == ["all of its users", "one user"]
    assert told["Changing one user"] == ["restarts nothing", "restarts that user's proxy"]
    assert told["Secrets"] == ["ee", "ee, dd, plain"]
    assert told["Addresses now"] == ["listed", "counted"]


def test_an_engine_whose_program_is_not_installed_here_is_named_beside_the_choice(tmp_path: Path) -> None:
    telemt, mtg = Telemt("/usr/bin/telemt"), Mtg("/usr/bin/mtg")
    fleet = Fleet(tmp_path / "engines", MemoryRuntime(), by_name(Builtin(), mtg, telemt))
    fleet.create_admin(NAME, PASSWORD, sudo=True)
    admin = Visitor(create_app(fleet).test_client())
    admin.login()

    def pages() -> tuple[str, str]:
        return tuple(admin.get(page).get_data(as_text=True) for page in (at("engine"), "/users/new"))

    assert not any("ot installed here" in page for page in pages())
    telemt.binary = mtg.binary = None
    settings, new = pages()
    assert "mtg is not installed here: put it on PATH, or its path into MTG_BIN." in settings
    assert "telemt is not installed here: put it on PATH, or its path into TELEMT_BIN." in settings
    assert "Not installed here: mtg, telemt." in new
