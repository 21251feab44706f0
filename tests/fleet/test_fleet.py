"""What the panel and the command line do to the fleet, on a machine that the test owns."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from app.control.errors import LoginThrottled, Refused
from app.engines.builtin import Builtin
from app.messages import Problem
from app.mtproto.links import parse_link
from app.rules import users
from app.runtimes.base import EXITED, LegacyContainer, Notice, RuntimeUnavailable
from tests.fleet.conftest import metrics
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime

GB = 1024 ** 3

#: Every port is free, and every domain will do.
ANYTHING_GOES = users.Checks(lambda port: None, lambda config, domain, user: None, lambda port: True)


def restarted(fleet: Fleet, machine) -> Fleet:
    """The same data folder, opened by a new panel."""
    return Fleet(fleet.data_dir, MemoryRuntime(machine), Builtin())


def hand_edit(fleet: Fleet, **changes) -> None:
    data = json.loads(fleet.file.path.read_text())
    fleet.file.path.write_text(json.dumps({**data, **changes}))


def test_a_user_who_was_added_runs_and_has_links_that_lead_there(fleet):
    fleet.set_settings({"server_domain": "proxy.example.com"})
    view = fleet.add_user("Alice")
    assert (view.state, view.port, view.enabled) == ("running", 2443, True)
    for url in (view.tg_link, view.tme_link):
        link = parse_link(url)
        assert (link.server, link.port, link.secret.hex) == ("proxy.example.com", 2443, view.secret)


def test_what_programs_read_of_a_user_is_there(fleet):
    data = fleet.add_user("Alice").to_json()
    assert {"id", "name", "port", "domain", "secret", "tg_link", "tme_link", "enabled"} <= set(data)
    json.dumps(data)


def test_a_refused_user_leaves_no_trace(fleet, machine):
    fleet.add_user("Alice")
    before = fleet.file.path.read_bytes()
    for bad in ({"name": "Alice"}, {"name": "Bob", "domain": "no"}, {"name": "Bob", "limit_gb": "-1"},
                {"name": "Bob", "expires": "soon"}):
        with pytest.raises(Refused):
            fleet.add_user(**bad)
    assert fleet.file.path.read_bytes() == before
    assert list(machine.boxes) == ["mtg-proxy-2443"]


def test_a_user_is_only_ever_touched_by_an_own_change(fleet, machine):
    alice = fleet.add_user("Alice")
    start = machine.boxes["mtg-proxy-2443"].run_id
    bob = fleet.add_user("Bob")
    for change in ({"name": "Robert"}, {"port": "3000"}, {"domain": "www.example.org"}, {"limit_gb": "5"}):
        fleet.update_user(bob.id, change)
    fleet.rotate(bob.id)
    fleet.disable(bob.id)
    fleet.enable(bob.id)
    fleet.remove(bob.id)
    assert machine.boxes["mtg-proxy-2443"].run_id == start
    assert fleet.user(alice.id).state == "running"


@pytest.mark.parametrize("change", [{"name": "Al"}, {"note": "x"}, {"limit_gb": "5"}, {"speed_mbps": "5"},
                                    {"expires": "2999-01-01"}])
def test_changes_that_need_no_restart_cause_none(fleet, machine, change):
    fleet.add_user("Alice")
    calls = len(machine.calls)
    fleet.update_user("Alice", change)
    assert machine.calls[calls:] == []


def test_access_that_is_taken_away_ends_the_workload(fleet, machine):
    fleet.add_user("Alice")
    fleet.disable("Alice")
    assert machine.boxes["mtg-proxy-2443"].state == EXITED and fleet.user("Alice").state == "disabled"
    fleet.remove("Alice")
    assert machine.boxes == {}


def test_a_disabled_user_keeps_the_log_and_is_started_again_with_the_same_link(fleet, machine):
    before = fleet.add_user("Alice")
    fleet.disable("Alice")
    assert fleet.logs("Alice") == ["[mtg-proxy-2443] listening on 0.0.0.0:2443"]
    after = fleet.enable("Alice")
    assert (after.state, after.tg_link) == ("running", before.tg_link)
    assert ("create", "mtg-proxy-2443") not in machine.calls[2:]


def test_rotation_makes_another_link_on_the_same_port(fleet, machine):
    before = fleet.add_user("Alice")
    after = fleet.rotate("Alice")
    assert (before.port, before.domain, before.id) == (after.port, after.domain, after.id)
    assert before.secret != after.secret
    assert ("create", "mtg-proxy-2443") in machine.calls[2:]


def test_another_port_moves_the_workload_there(fleet, machine):
    fleet.add_user("Alice")
    assert fleet.update_user("Alice", {"port": "3000"}).state == "running"
    assert list(machine.boxes) == ["mtg-proxy-3000"]


def test_a_port_that_another_program_took_is_told_and_tried_again(fleet, machine):
    fleet.add_user("Alice", enabled=False)
    machine.occupy(2443)
    view = fleet.enable("Alice")
    assert view.state == "failed" and view.reason.codes == ["runtime.not_started", "port.taken"]
    assert any("2443" in p for p in fleet.status().problems)
    assert any(e.action == "proxy.create_failed" for e in fleet.ledger.events.recent())
    machine.taken.clear()
    assert fleet.reconcile()[0].ok
    assert (fleet.user("Alice").state, fleet.status().problems) == ("running", [])


def test_a_new_user_does_not_get_a_port_that_another_program_has(fleet, machine):
    machine.occupy(2443)
    assert fleet.add_user("Alice").port == 2444


def test_a_crashed_workload_is_started_again_and_the_reason_recorded(fleet, machine):
    fleet.add_user("Alice")
    machine.crash("mtg-proxy-2443", "killed by signal 9")
    assert fleet.user("Alice").state == "failed"
    fleet.reconcile(respect_backoff=True)
    assert fleet.user("Alice").state == "running"
    event = fleet.ledger.events.recent(1)[0]
    assert (event.action, event.subject, event.detail) == ("proxy.restarted", "Alice", "killed by signal 9")


def test_a_workload_that_keeps_crashing_is_given_pauses(fleet, machine):
    fleet.add_user("Alice")
    for _ in range(3):
        machine.crash("mtg-proxy-2443")
        fleet.reconcile()
    machine.crash("mtg-proxy-2443")
    ended = machine.boxes["mtg-proxy-2443"].exited_at
    fleet.reconciler.clock = lambda: ended + 7.9
    assert fleet.reconcile(respect_backoff=True) == []
    fleet.reconciler.clock = lambda: ended + 8.1
    assert [o.action for o in fleet.reconcile(respect_backoff=True)] == ["start"]


def test_a_workload_that_was_removed_by_hand_comes_back(fleet, machine):
    fleet.add_user("Alice")
    machine.boxes.clear()
    fleet.reconcile(respect_backoff=True)
    assert fleet.user("Alice").state == "running"


def test_a_workload_that_nobody_declared_is_removed(fleet, machine):
    fleet.add_user("Alice")
    hand_edit(fleet, users=[])
    assert [o.action for o in fleet.reconcile(respect_backoff=True)] == ["remove"]
    assert machine.boxes == {}


def test_what_has_failed_for_weeks_is_told_as_ever_and_tried_again(fleet, machine):
    machine.fail("start", "mtg-proxy-2443", "no memory")
    fleet.add_user("Alice")
    fleet.reconciler.backoff.failures["mtg-proxy-2443"].count = 5_000
    assert [o.reason for o in fleet.reconcile()] == ["no memory"]


def test_what_failed_is_left_alone_for_a_while_by_the_monitor_but_not_by_a_person(fleet, machine):
    now = machine.now()
    fleet.reconciler.clock = lambda: now
    machine.fail("start", "mtg-proxy-2443", "no memory")
    fleet.add_user("Alice")
    assert fleet.reconcile(respect_backoff=True) == []
    assert [o.reason for o in fleet.reconcile()] == ["no memory"]
    fleet.reconciler.clock = lambda: now + 60
    machine.fail("start", "mtg-proxy-2443")
    assert [o.ok for o in fleet.reconcile(respect_backoff=True)] == [True]


def test_a_panel_restart_touches_nothing(fleet, machine):
    fleet.add_user("Alice")
    calls = len(machine.calls)
    again = restarted(fleet, machine)
    assert again.reconcile() == [] and machine.calls[calls:] == []
    assert again.user("Alice").state == "running"


def test_a_broken_hand_edit_is_told_and_nothing_that_runs_is_touched(fleet, machine):
    fleet.add_user("Alice")
    fleet.file.path.write_text('{"users": [')
    with pytest.raises(Refused, match="not valid"):
        fleet.reconcile(respect_backoff=True)
    with pytest.raises(Refused, match="not valid"):
        fleet.add_user("Bob")
    assert "mtg-proxy-2443" in machine.boxes
    status = fleet.status()
    assert status.running == 1 and "is not valid" in status.problems[0]
    assert fleet.file.path.read_text() == '{"users": ['


def test_traffic_is_billed_to_the_user_and_survives_restarts(fleet, machine):
    fleet.add_user("Alice")
    machine.metrics("mtg-proxy-2443", metrics(down=1000, up=50, connections=3))
    status = fleet.status(max_age=0)
    assert (status.bytes_down, status.bytes_up, status.connections) == (1000, 50, 3)
    machine.crash("mtg-proxy-2443")
    assert fleet.user("Alice").connections == 0
    fleet.reconcile()
    machine.metrics("mtg-proxy-2443", metrics(down=10))
    assert restarted(fleet, machine).status(max_age=0).bytes_down == 1010


def test_metrics_that_make_no_sense_cost_nobody_elses_bill(fleet, machine):
    fleet.add_user("Alice")
    fleet.add_user("Bob")
    machine.metrics("mtg-proxy-2443", "<html>half an answ")
    machine.metrics("mtg-proxy-2444", metrics(down=5))
    assert fleet.status(max_age=0).bytes_down == 5


def test_the_last_bytes_before_a_rotation_are_counted(fleet, machine):
    fleet.add_user("Alice")
    machine.metrics("mtg-proxy-2443", metrics(down=777))
    fleet.rotate("Alice")
    machine.metrics("mtg-proxy-2443", metrics())
    assert fleet.status(max_age=0).bytes_down == 777


def test_a_new_user_on_a_freed_port_inherits_no_traffic(fleet, machine):
    fleet.add_user("Alice")
    machine.metrics("mtg-proxy-2443", metrics(down=777))
    fleet.remove("Alice", for_good=True)
    view = fleet.add_user("Bob")
    fleet.sample()
    assert (view.port, fleet.user("Bob").bytes_down) == (2443, 0)


def test_over_the_limit_means_throttled_and_a_higher_limit_lifts_it(fleet, machine):
    fleet.add_user("Alice", limit_gb="1", speed_mbps="2")
    assert fleet.user("Alice").throttled_bps is None
    machine.metrics("mtg-proxy-2443", metrics(down=GB))
    fleet.sample()
    assert [o.action for o in fleet.reconcile(respect_backoff=True)] == ["throttle"]
    assert machine.boxes["mtg-proxy-2443"].limit == 2_000_000 == fleet.user("Alice").throttled_bps
    assert fleet.reconcile(respect_backoff=True) == []
    fleet.update_user("Alice", {"speed_mbps": "5"})
    assert machine.boxes["mtg-proxy-2443"].limit == 5_000_000
    fleet.update_user("Alice", {"limit_gb": "2"})
    assert machine.boxes["mtg-proxy-2443"].limit is None is fleet.user("Alice").throttled_bps


def test_a_throttle_lost_with_a_restart_is_put_on_again(fleet, machine):
    fleet.add_user("Alice", limit_gb="1")
    machine.metrics("mtg-proxy-2443", metrics(down=GB))
    fleet.sample()
    fleet.reconcile()
    machine.crash("mtg-proxy-2443")
    fleet.reconcile()
    assert machine.boxes["mtg-proxy-2443"].limit == 1_000_000


def test_a_throttle_that_fails_is_a_problem_that_is_told(fleet, machine):
    fleet.add_user("Alice", limit_gb="1")
    machine.metrics("mtg-proxy-2443", metrics(down=GB))
    machine.fail("throttle", "mtg-proxy-2443", "a local mtg has no speed limit")
    fleet.sample()
    fleet.reconcile()
    view = fleet.user("Alice")
    assert (view.state, view.reason, view.throttled_bps) == ("running", "a local mtg has no speed limit", None)


def test_an_expired_user_is_cut_off_and_comes_back_with_a_later_date(fleet, machine):
    fleet.add_user("Alice", expires="2999-01-01")
    with fleet.file.edit() as config:
        config.users[0].expires_at = datetime.now().astimezone() - timedelta(seconds=1)
    fleet.reconcile(respect_backoff=True)
    view = fleet.user("Alice")
    assert view.state == "expired" and view.reason.codes == ["user.expired"]
    assert machine.boxes["mtg-proxy-2443"].state == EXITED
    assert fleet.update_user("Alice", {"expires": "never"}).state == "running"


def test_settings_are_set_together_or_not_at_all(fleet):
    with pytest.raises(Refused, match="proxy_port"):
        fleet.set_settings({"server_domain": "proxy.example.com", "proxy_port": "70000"})
    assert fleet.settings()["server_domain"] == ""
    fleet.set_settings({"server_domain": "proxy.example.com", "traffic_limit_gb": "2.5", "proxy_port": "3000"})
    assert fleet.settings()["traffic_limit_gb"] == 2.5 and fleet.settings()["proxy_port"] == 3000


@pytest.mark.parametrize("key, words", [("users", "can't be set"), ("secret_key", "can't be set"),
                                        ("stats_enabled", "can't be set"), ("colour", "no setting 'colour'")])
def test_what_is_no_setting_is_refused_with_the_list_of_those_that_are(fleet, key, words):
    with pytest.raises(Refused, match=words) as refused:
        fleet.set_settings({key: "x"})
    assert "server_domain" in str(refused.value)


def test_links_use_the_declared_address_or_a_guess_that_is_called_one(fleet):
    assert fleet.status().server_note.codes == ["server.guessed"]
    fleet.set_settings({"server_ip": "2001:db8::7"})
    view = fleet.add_user("Alice")
    assert parse_link(view.tg_link).server == "2001:db8::7"
    assert fleet.status().server_note == ""


def test_every_change_is_in_the_audit_log_with_its_actor(fleet):
    fleet.add_user("Alice", actor="admin:root")
    fleet.rotate("Alice", actor="admin:root")
    fleet.remove("Alice", actor="cli")
    seen = [(e.actor, e.action, e.subject) for e in fleet.ledger.events.recent(3)]
    assert seen == [("cli", "user.removed", "Alice"), ("admin:root", "user.rotated", "Alice"),
                    ("admin:root", "user.added", "Alice")]


def first_password(fleet) -> str:
    return fleet.file.read().initial_password


def test_the_first_login_ends_the_initial_passwords_stay_in_the_file(fleet):
    password = first_password(fleet)
    admin = fleet.check_login("admin", password, "192.0.2.1")
    assert admin.sudo and first_password(fleet) is None
    assert password not in fleet.file.path.read_text()
    assert fleet.check_login("admin", password, "192.0.2.1")


def test_wrong_names_and_passwords_let_nobody_in(fleet):
    assert fleet.check_login("admin", "wrong", "192.0.2.1") is None
    assert fleet.check_login("nobody", first_password(fleet), "192.0.2.1") is None
    assert fleet.check_login("admin", "", "192.0.2.1") is None


def test_five_failures_shut_out_that_address_and_no_other(fleet):
    for _ in range(5):
        fleet.check_login("admin", "wrong", "192.0.2.1")
    with pytest.raises(LoginThrottled) as refused:
        fleet.check_login("admin", first_password(fleet), "192.0.2.1")
    assert 0 < refused.value.seconds <= 300
    assert fleet.check_login("admin", first_password(fleet), "192.0.2.2")


def test_an_old_hash_is_replaced_at_the_first_login(fleet):
    import hashlib
    salt = "5a" * 16
    old = f"{salt}:{hashlib.pbkdf2_hmac('sha256', b'secret word', salt.encode(), 100_000).hex()}"
    hand_edit(fleet, admin_password_hash=old)
    assert fleet.check_login("admin", "secret word", "192.0.2.1")
    assert fleet.file.read().admin_password_hash.startswith("scrypt:")
    assert fleet.check_login("admin", "secret word", "192.0.2.1")


def test_admins_are_created_and_their_passwords_reset(fleet):
    fleet.create_admin("bob", "long enough", sudo=False)
    assert not fleet.check_login("bob", "long enough", "192.0.2.1").sudo
    new = fleet.reset_password("bob")
    assert fleet.check_login("bob", "long enough", "192.0.2.1") is None
    assert fleet.check_login("bob", new, "192.0.2.1")
    fleet.reset_password("admin")
    assert first_password(fleet) is None


@pytest.mark.parametrize("username, password, words", [
    ("admin", "long enough", "already"), ("", "long enough", "not allowed"), ("a\nb", "long enough", "not allowed"),
    ("bob", "short", "at least 8")])
def test_a_bad_admin_is_refused(fleet, username, password, words):
    with pytest.raises(Refused, match=words):
        fleet.create_admin(username, password)
    assert fleet.file.read().admins == []


def test_a_password_of_an_admin_who_does_not_exist_is_not_reset(fleet):
    with pytest.raises(Refused, match="no admin 'bob'; there are: admin"):
        fleet.reset_password("bob")


def test_stopping_everything_leaves_the_declaration_alone(fleet, machine):
    fleet.add_user("Alice")
    fleet.stop_everything()
    assert machine.boxes["mtg-proxy-2443"].state == EXITED
    assert (fleet.user("Alice").enabled, fleet.user("Alice").state) == (True, "stopped")
    fleet.reconcile()
    assert fleet.user("Alice").state == "running"


def test_two_panels_on_one_folder_never_act_twice(fleet, machine):
    from concurrent.futures import ThreadPoolExecutor
    with fleet.file.edit() as config:
        for number in range(20):
            users.add(config, {"name": f"u{number}"}, True, ANYTHING_GOES)
    panels = [fleet, restarted(fleet, machine)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda panel: panel.reconcile(), panels))
    assert len(machine.calls) == 2 * 20


def test_a_declared_stop_holds_over_a_restart_of_the_panel_and_for_new_users(fleet, machine):
    fleet.add_user("Alice")
    assert [o.action for o in fleet.stop_all()] == ["stop"]
    again = restarted(fleet, machine)
    assert again.reconcile() == []
    status = again.status()
    assert (status.stopped, status.running, status.total) == (True, 0, 1)
    assert again.add_user("Bob").state == "stopped"
    assert sorted(o.action for o in again.start_all()) == ["create", "start"]
    assert again.status().running == 2


def test_one_user_or_all_are_restarted_and_whoever_is_disabled_stays_so(fleet, machine):
    for name in ("Alice", "Bob", "Carol"):
        fleet.add_user(name)
    fleet.disable("Carol")
    starts = {name: box.run_id for name, box in machine.boxes.items()}
    machine.metrics("mtg-proxy-2443", metrics(down=100))
    assert [o.name for o in fleet.restart("Alice")] == ["mtg-proxy-2443"]
    assert machine.boxes["mtg-proxy-2443"].run_id != starts["mtg-proxy-2443"]
    assert machine.boxes["mtg-proxy-2444"].run_id == starts["mtg-proxy-2444"]
    assert [o.name for o in fleet.restart()] == ["mtg-proxy-2443", "mtg-proxy-2444"]
    machine.metrics("mtg-proxy-2443", metrics())
    assert fleet.status(max_age=0).bytes_down == 100 + 100


def test_while_the_runtime_does_not_answer_the_panel_stays_up_and_catches_up_later(fleet, machine, monkeypatch):
    fleet.add_user("Alice")

    def away(*_):
        raise RuntimeUnavailable("the Docker engine is not running: systemctl start docker")

    for verb in ("observe", "port_taken", "port_free"):
        monkeypatch.setattr(fleet.runtime, verb, away)
    view = fleet.add_user("Bob")
    assert view.state == "unknown" and "systemctl start docker" in view.reason
    status = fleet.status(max_age=0)
    assert status.problems == ["the Docker engine is not running: systemctl start docker"]
    assert status.running == 0
    outcome, = fleet.stop_all()
    assert not outcome.ok and outcome.reason.codes == ["proxies.later", "saved.stopped", "text"]
    assert not fleet.start_all()[0].ok
    monkeypatch.undo()
    fleet.reconcile(respect_backoff=True)
    assert [v.state for v in fleet.users()] == ["running", "running"]


def test_what_happened_unasked_is_in_the_audit_log_with_the_users_name(fleet, machine):
    view = fleet.add_user("Alice")
    machine.notices.append(Notice("mtg-proxy-2443", view.id, "proxy.ended",
                                  Problem("ended.memory", {"memory_mb": 256})))
    fleet.reconcile(respect_backoff=True)
    event = fleet.ledger.events.recent(1)[0]
    assert (event.subject, event.action) == ("Alice", "proxy.ended")
    assert event.problem.params == {"memory_mb": 256} and "256 MB" in event.message


def test_proxies_of_an_older_installation_are_taken_over_one_after_the_other(fleet, machine):
    with fleet.file.edit() as config:
        for number in range(3):
            users.add(config, {"name": f"u{number}"}, True, ANYTHING_GOES)
    for port in (2443, 2445):
        machine.foreign.append(LegacyContainer(f"id{port}", f"mtg-proxy-{port}", port, running=True))
        machine.occupy(port, "an old container")
    outcomes = {o.name: o.action for o in fleet.reconcile()}
    assert outcomes == {"mtg-proxy-2443": "adopt", "mtg-proxy-2444": "create", "mtg-proxy-2445": "adopt"}
    assert machine.foreign == [] and fleet.status().running == 3


def test_the_settings_that_the_engine_does_not_use_are_named(fleet):
    fleet.set_settings({"proxy_tag": "abc"})
    assert [note.codes[0] for note in fleet.status().notes] == ["engine.ignores"]


def test_lines_of_all_proxies_are_followed_as_they_are_written(fleet, machine):
    fleet.add_user("Alice")
    lines = fleet.follow_logs()
    assert next(lines) == "[mtg-proxy-2443] listening on 0.0.0.0:2443"
    machine.boxes["mtg-proxy-2443"].log.append("something happened")
    assert next(lines) == "[mtg-proxy-2443] something happened"
    lines.close()


@pytest.mark.slow
def test_a_thousand_users_are_run_shown_and_changed_one_at_a_time(fleet, machine):
    with fleet.file.edit() as config:
        for number in range(1000):
            users.add(config, {"name": f"u{number}"}, True, ANYTHING_GOES)
    assert all(o.ok for o in fleet.reconcile()) and fleet.reconcile() == []
    calls = len(machine.calls)
    fleet.rotate("u500")
    assert machine.calls[calls:] == [("create", "mtg-proxy-2943"), ("start", "mtg-proxy-2943")]
    assert fleet.status(max_age=0).running == 1000


def test_an_admin_may_have_any_name_that_people_have(fleet):
    for name in ("علی\u200cرضا", "René", "李雷"):
        fleet.create_admin(name, "correct horse battery")
        assert fleet.admin(name)
    with pytest.raises(Refused, match="already"):
        fleet.create_admin("Rene\u0301", "correct horse battery")
    with pytest.raises(Refused, match="not allowed.*direction"):
        fleet.create_admin("\u202eBob", "correct horse battery")


def test_the_shared_port_is_refused_where_somebody_has_it_already(fleet, machine):
    alice = fleet.add_user("Alice")
    machine.taken[9443] = "nginx"
    for port, words in ((9443, "9443 is taken by another program .nginx"), (alice.port, "belongs to 'Alice'")):
        with pytest.raises(Refused, match=words) as caught:
            fleet.set_settings({"shared_port": str(port), "server_domain": "proxy.example.com"})
        assert caught.value.problems[0].field == "shared_port"
    assert (fleet.config().shared_port, fleet.config().server_domain) == (8443, "")
    fleet.set_settings({"shared_port": "9444"})
