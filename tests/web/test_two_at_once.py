"""Two people, or two tabs, at the same user or the same settings."""

from __future__ import annotations

import html
import re
import threading

import pytest

from app.accounts.actor import CLI
from app.actions.notifications import add_channel, change_channel, remove_channel
from app.control.errors import Refused, Unfinished


def shown(page: str) -> str:
    return html.unescape(re.search(r'name="shown" value="([^"]*)"', page)[1])


def form_of(admin, path: str) -> dict[str, str]:
    """What a browser would send that changes nothing of the user's form."""
    page = admin.get(path).get_data(as_text=True)
    names = ("name", "note", "domain", "limit_gb", "speed_mbps", "expires", "expires_after_days")
    values = {}
    for name in names:
        tag = re.search(rf'<input[^>]*name="{name}"[^>]*>', page)[0]
        found = re.search(r'value="([^"]*)"', tag)
        values[name] = html.unescape(found[1]) if found else ""
    return values | {"at_limit": "", "reset_cycle": "", "shown": shown(page)}


def test_who_saves_only_a_note_keeps_the_limit_that_another_tab_has_set(admin, fleet):
    alice = fleet.add_user("Alice").id
    old = form_of(admin, f"/users/{alice}/edit")
    fleet.update_user(alice, {"limit_gb": "50"}, "cli")
    assert admin.post(f"/users/{alice}/edit", old | {"note": "neighbour"}).status_code == 302
    user = fleet.user(alice)
    assert (user.note, user.own_limit_gb) == ("neighbour", 50)


def test_a_field_that_both_changed_is_told_with_both_values_and_saved_only_when_sent_again(admin, fleet):
    alice = fleet.add_user("Alice").id
    old = form_of(admin, f"/users/{alice}/edit")
    fleet.update_user(alice, {"limit_gb": "50"}, "cli")
    answer = admin.post(f"/users/{alice}/edit", old | {"limit_gb": "70", "note": "kept"})
    page = html.unescape(answer.get_data(as_text=True))
    assert answer.status_code == 422 and fleet.user(alice).own_limit_gb == 50 and fleet.user(alice).note == ""
    assert "from 'Default' to '50'" in page and 'value="70"' in page and 'value="kept"' in page
    again = admin.post(f"/users/{alice}/edit", old | {"limit_gb": "70", "note": "kept", "shown": shown(
        answer.get_data(as_text=True))})
    assert again.status_code == 302 and fleet.user(alice).own_limit_gb == 70


def test_both_changed_to_the_same_is_no_quarrel(admin, fleet):
    alice = fleet.add_user("Alice").id
    old = form_of(admin, f"/users/{alice}/edit")
    fleet.update_user(alice, {"limit_gb": "50"}, "cli")
    assert admin.post(f"/users/{alice}/edit", old | {"limit_gb": "50"}).status_code == 302


def test_a_date_that_another_set_is_not_lost_to_days_from_the_first_use(admin, fleet):
    alice = fleet.add_user("Alice").id
    old = form_of(admin, f"/users/{alice}/edit")
    fleet.update_user(alice, {"expires": "2090-01-31"}, "cli")
    answer = admin.post(f"/users/{alice}/edit", old | {"expires_after_days": "30"})
    assert answer.status_code == 422 and fleet.user(alice).expires_at.startswith("2090-02-01")
    assert "2090-01-31" in answer.get_data(as_text=True)


def test_a_setting_that_both_changed_is_told_too(admin, fleet):
    old = shown(admin.get("/settings/general").get_data(as_text=True))
    fleet.set_settings({"server_ip": "203.0.113.9"})
    answer = admin.post("/settings/general", {"shown": old, "server_ip": "203.0.113.3"})
    page = html.unescape(answer.get_data(as_text=True))
    assert answer.status_code == 422 and fleet.config().server_ip == "203.0.113.9"
    assert "from 'empty' to '203.0.113.9'" in page


CHANNEL = {"name": "Ops", "kind": "webhook", "enabled": "true", "events": ["expired", "update"], "digest": "off",
           "digest_hour": "7", "language": "en", "url": "https://hooks.example.org/x", "secret": ""}


@pytest.fixture
def channel(fleet) -> str:
    """The id of a channel as CHANNEL says, with a secret."""
    changes = CHANNEL | {"secret": "hush-hush", "events": "expired update"}
    changes.pop("kind")
    return add_channel(fleet, CLI, "webhook", changes).id


def test_a_stale_tab_puts_no_other_owners_change_of_a_channel_back(admin, fleet, channel):
    old = CHANNEL | {"shown": shown(admin.get(f"/notifications/{channel}").get_data(as_text=True))}
    change_channel(fleet, CLI, channel, {"digest": "weekly", "secret": "another", "events": "expired"})
    assert admin.post(f"/notifications/{channel}", old | {"name": "Night shift"}).status_code == 302
    now, = fleet.config().notifications
    assert (now.name, now.digest, now.secret, now.events) == ("Night shift", "weekly", "another", ["expired"])


def test_a_field_of_a_channel_that_both_changed_is_told_and_saved_only_when_sent_again(admin, fleet, channel):
    old = CHANNEL | {"shown": shown(admin.get(f"/notifications/{channel}").get_data(as_text=True))}
    change_channel(fleet, CLI, channel, {"digest": "weekly", "secret": "another", "events": "update"})
    mine = old | {"digest": "daily", "secret": "mine", "events": ["limit_80"], "enabled": "true"}
    answer = admin.post(f"/notifications/{channel}", mine)
    page = html.unescape(answer.get_data(as_text=True))
    now, = fleet.config().notifications
    assert answer.status_code == 422 and (now.digest, now.secret, now.events) == ("weekly", "another", ["update"])
    assert "from 'off' to 'weekly'" in page and "from 'expired update' to 'update'" in page
    assert not [secret for secret in ("hush-hush", "another", "'mine'") if secret in page.replace("another one", "")]
    assert admin.post(f"/notifications/{channel}", mine | {"shown": shown(
        answer.get_data(as_text=True))}).status_code == 302
    now, = fleet.config().notifications
    assert (now.digest, now.secret, now.events) == ("daily", "mine", ["limit_80"])


@pytest.mark.parametrize("when", ["before", "between"])
def test_what_was_typed_for_a_channel_that_is_removed_meanwhile_is_told_and_kept(
        admin, fleet, channel, monkeypatch, when):
    old = CHANNEL | {"shown": shown(admin.get(f"/notifications/{channel}").get_data(as_text=True))}
    if when == "before":
        remove_channel(fleet, CLI, channel)
    else:
        def change(*args):
            remove_channel(fleet, CLI, channel)
            return change_channel(*args)

        monkeypatch.setattr("app.actions.notifications.change_channel", change)
    answer = admin.post(f"/notifications/{channel}", old | {"name": "Night shift"})
    page = html.unescape(answer.get_data(as_text=True))
    assert answer.status_code == 422 and "has been removed meanwhile" in page and 'value="Night shift"' in page
    assert 'action="/notifications/new/webhook"' in page and fleet.config().notifications == []
    assert admin.post("/notifications/new/webhook", old | {"name": "Night shift", "secret": "hush"}).status_code == 302
    assert [each.name for each in fleet.config().notifications] == ["Night shift"]
    assert admin.get(f"/notifications/{channel}").status_code == 404


def test_a_user_form_shows_everything_that_is_wrong_at_once(admin, fleet):
    page = html.unescape(admin.post("/users/new", {
        "name": "", "domain": "localhost", "limit_gb": "-1", "expires": "soon"}).get_data(as_text=True))
    for part in ("a name is needed", "is not a host name", "the traffic limit '-1'", "'soon' is not a date"):
        assert part.lower() in page.lower()
    assert fleet.users() == []


def test_of_two_who_change_the_same_field_at_once_exactly_one_is_told(fleet):
    alice = fleet.add_user("Alice").id
    both, told = threading.Barrier(2), []

    def save(limit: str) -> None:
        seen = []

        def check(user):
            if not seen:
                seen.append(user.traffic_limit_gb)
                both.wait()  # both have looked before either saves
            if user.traffic_limit_gb != seen[0]:
                raise Refused("somebody changed it", "limit_gb")

        try:
            fleet.update_user(alice, {"limit_gb": limit}, check=check)
        except Refused:
            told.append(limit)

    threads = [threading.Thread(target=save, args=(limit,)) for limit in ("50", "70")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 1 and f"{fleet.user(alice).own_limit_gb:g}" != told[0]


def test_a_look_up_that_hangs_holds_up_nobody_elses_change(fleet, monkeypatch):
    asked, answered = threading.Event(), threading.Event()

    def refuse_domain(self, config, domain, user, now):
        asked.set()
        assert answered.wait(60)

    monkeypatch.setattr(type(fleet.port443), "refuse_domain", refuse_domain)
    adding = threading.Thread(target=fleet.add_user, args=("Alice",))
    adding.start()
    assert asked.wait(60)
    fleet.set_settings({"traffic_limit_gb": 7})
    answered.set()
    adding.join()
    assert fleet.config().traffic_limit_gb == 7 and [user.name for user in fleet.users()] == ["Alice"]


VERBS = {
    "add": lambda fleet: fleet.add_user("Bob"), "update": lambda fleet: fleet.update_user("Alice", {"note": "x"}),
    "domain": lambda fleet: fleet.update_user("Alice", {"domain": "www.example.org"}),
    "rotate": lambda fleet: fleet.rotate("Alice"), "disable": lambda fleet: fleet.disable("Alice"),
    "remove": lambda fleet: fleet.remove("Alice"), "stop": lambda fleet: fleet.stop_all(),
    "settings": lambda fleet: fleet.set_settings({"traffic_limit_gb": 7}),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("broken", ["reconcile", "record", "user"])
@pytest.mark.parametrize("error", [OSError("Network is unreachable"), RuntimeError("a bug"),
                                   Refused("unchanged")])
def test_no_failure_after_saving_says_that_nothing_was_changed(fleet, monkeypatch, verb, broken, error):
    fleet.add_user("Alice")
    before = fleet.file.path.read_bytes()

    def fail(*args, **kwargs):
        if fleet.file.path.read_bytes() != before:
            raise error
        return working(*args, **kwargs)

    owner = fleet.ledger.events if broken == "record" else fleet
    working = getattr(owner, broken)
    monkeypatch.setattr(owner, broken, fail)
    told = ""
    try:
        VERBS[verb](fleet)
    except Unfinished as unfinished:
        told = str(unfinished)
        assert unfinished.problems[0].params["what"].code.startswith("saved.")
    assert "Nothing was changed" not in told and fleet.file.path.read_bytes() != before


def test_a_machine_without_a_route_and_without_ipv6_adds_users(fleet, monkeypatch):
    def no_socket(*args):
        raise OSError("Address family not supported by protocol")

    fleet.set_settings({"server_domain": ""})
    monkeypatch.setattr("app.runtimes.ports.socket.socket", no_socket)
    assert "server=127.0.0.1" in fleet.add_user("Alice").tg_link
