"""desired() and plan(): what should run, and the least that must be done for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from app.config.model import Config, User
from app.control.backoff import BackOff
from app.control.desired import desired
from app.control.plan import CREATE, LONGEST_PAUSE, REMOVE, REPLACE, START, STOP, UPDATE, pause, plan, retry_at
from app.engines.base import by_name
from app.engines.builtin import Builtin
from app.engines.mtg.engine import Mtg
from app.ledger.traffic import Total
from app.mtproto.secret import Secret
from app.rules.limits import GB
from app.runtimes.base import CREATED, EXITED, RUNNING, Observed, Place, Workload

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


class Places:
    """The one verb of a runtime that desired() may use."""

    def place(self, port: int, bind: str) -> Place:
        return Place(f"{bind or '0.0.0.0'}:{port}", f"127.0.0.1:{port}")


def alice(**fields) -> User:
    return User(**{"id": "a1b2c3d4", "name": "Alice", "port": 2443, "created_at": NOW,
                   "secret": "ee" + "11" * 16 + b"www.example.com".hex(), **fields})


def wanted(*users: User, totals=None, engine=None, **settings_):
    return desired(Config(users=list(users), **settings_), totals or {}, NOW, by_name(engine or Builtin()), Places())


def test_an_enabled_user_gets_one_workload_named_after_the_port():
    assert list(wanted(alice()).workloads) == ["mtg-proxy-2443"]


def test_disabled_expired_and_stopped_users_get_none_but_keep_their_place():
    for outcome in (wanted(alice(enabled=False)), wanted(alice(expires_at=NOW)),
                    wanted(alice(), proxies_stopped=True)):
        assert not outcome.workloads and outcome.suspended == {"mtg-proxy-2443": "a1b2c3d4"}
    assert wanted(alice(expires_at=NOW + timedelta(seconds=1))).workloads


def test_names_notes_limits_speeds_and_expiry_restart_nothing():
    plain = wanted(alice()).workloads["mtg-proxy-2443"].spec
    for change in ({"name": "Bob"}, {"note": "x"}, {"traffic_limit_gb": 5}, {"throttle_speed_mbps": 5},
                   {"expires_at": NOW + timedelta(days=1)}, {"created_at": NOW - timedelta(days=1)}):
        assert wanted(alice(**change)).workloads["mtg-proxy-2443"].spec == plain


def test_secrets_ports_upstream_cover_and_address_do_restart():
    plain = wanted(alice()).workloads["mtg-proxy-2443"].spec
    rotated = alice(secret="ee" + "22" * 16 + b"www.example.com".hex())
    assert wanted(rotated).workloads["mtg-proxy-2443"].spec != plain
    for change in ({"upstream_socks5": "127.0.0.1:1"}, {"domain_fronting_ip": "127.0.0.1"},
                   {"proxy_bind": "127.0.0.1"}, {"proxy_prefer_ip": "only-ipv6"}):
        assert wanted(alice(), **change).workloads["mtg-proxy-2443"].spec != plain


def test_over_the_limit_means_throttled_to_the_speed_that_applies():
    over = {"a1b2c3d4": Total(down=GB, up=GB)}
    assert wanted(alice(traffic_limit_gb=2), totals=over).throttles == {"mtg-proxy-2443": 1_000_000}
    assert wanted(alice(throttle_speed_mbps=2.5), totals=over, traffic_limit_gb=1).throttles == \
        {"mtg-proxy-2443": 2_500_000}
    assert not wanted(alice(traffic_limit_gb=2.1), totals=over).throttles
    assert not wanted(alice(), totals=over).throttles
    assert not wanted(alice(traffic_limit_gb=2), totals={"another": Total(down=GB * 9)}).throttles


def test_a_secret_that_the_engine_can_not_serve_is_refused_with_the_reason():
    outcome = wanted(alice(secret="11" * 16), engine=Mtg("/usr/bin/mtg"))
    assert not outcome.workloads and outcome.refused["mtg-proxy-2443"]


names = st.integers(1, 5).map(lambda n: f"mtg-proxy-{n}")
specs = st.sampled_from(["00", "11", "22"])


def workload(name: str, key: str) -> Workload:
    secret = Secret("plain", bytes.fromhex(key) * 16)
    return Workload(name=name, user_id=name, engine="builtin", image="", command=(),
                    files={"config.toml": secret.hex}, port=1, place=Place("", ""))


workloads = st.dictionaries(names, specs).map(lambda d: {n: workload(n, k) for n, k in d.items()})
observed = st.lists(st.builds(
    lambda name, key, state, crashes, exited: Observed(name, name, workload(name, key).spec, state,
                                                       crashes=crashes, exited_at=exited),
    names, specs, st.sampled_from([RUNNING, EXITED, CREATED]), st.integers(0, 12), st.floats(0, 2000)),
    unique_by=lambda o: o.name)


def carry_out(actions, there) -> list[Observed]:
    """What a runtime in which nothing fails would look like after the actions."""
    after = {o.name: o for o in there}
    for action in actions:
        if action.kind == REMOVE:
            del after[action.name]
        else:
            assert (action.name in after) == (action.kind != CREATE)
            after[action.name] = Observed(action.name, action.user_id, action.workload.spec, RUNNING)
    return list(after.values())


@given(workloads, observed)
@settings(max_examples=500, deadline=None)
def test_carrying_out_a_plan_leads_to_what_is_desired_and_leaves_nothing_to_do(workloads_, there):
    after = carry_out(plan(workloads_, there, float("inf")), there)
    assert {o.name: o.spec for o in after} == {n: w.spec for n, w in workloads_.items()}
    assert all(o.state == RUNNING for o in after)
    assert plan(workloads_, after, 0.0) == []


@given(workloads, observed)
@settings(max_examples=500, deadline=None)
def test_what_already_is_as_it_should_be_is_never_touched(workloads_, there):
    touched = {a.name for a in plan(workloads_, there, float("inf"))}
    for one in there:
        right = one.name in workloads_ and workloads_[one.name].spec == one.spec and one.state == RUNNING
        assert right == (one.name not in touched)
    assert len(touched) == len(plan(workloads_, there, float("inf")))


@given(workloads, observed, st.floats(0, 3000))
@settings(max_examples=300, deadline=None)
def test_only_a_crashed_workload_is_ever_left_to_rest(workloads_, there, now):
    at_once = plan(workloads_, there, float("inf"))
    rested = [a for a in at_once if a not in plan(workloads_, there, now)]
    seen = {o.name: o for o in there}
    for action in rested:
        assert action.kind == START and now < retry_at(seen[action.name])


def test_a_parked_users_workload_is_stopped_once_and_anothers_in_its_place_removed():
    one = "mtg-proxy-1"
    running = Observed(one, "alice", "spec", RUNNING)
    assert [a.kind for a in plan({}, [running], 0.0, {one: "alice"})] == [STOP]
    assert plan({}, [Observed(one, "alice", "spec", EXITED)], 0.0, {one: "alice"}) == []
    assert [a.kind for a in plan({}, [running], 0.0, {one: "bob"})] == [REMOVE]


def test_live_files_that_differ_are_updated_and_nothing_else_is_done():
    one = "mtg-proxy-1"
    made = replace(workload(one, "00"), live_files={"users": "alice"})
    running = Observed(one, one, made.spec, RUNNING, live=made.live)
    assert plan({one: made}, [running], 0.0) == []
    changed = replace(made, live_files={"users": "alice, bob"})
    assert [(a.kind, a.workload) for a in plan({one: changed}, [running], 0.0)] == [(UPDATE, changed)]
    ended = Observed(one, one, made.spec, EXITED, live=made.live)
    assert [a.kind for a in plan({one: changed}, [ended], 0.0)] == [START], "with the files as they should be"
    with_more = replace(made, live_files={"users": "alice", "groups": ""})
    assert [a.kind for a in plan({one: with_more}, [running], 0.0)] == [REPLACE]


def test_a_changed_workload_does_not_wait_for_the_crashes_of_the_old_one():
    crashed = Observed("mtg-proxy-1", "u", "another", EXITED, crashes=9, exited_at=100.0)
    assert [a.kind for a in plan({"mtg-proxy-1": workload("mtg-proxy-1", "00")}, [crashed], 100.0)] == [REPLACE]


def test_pauses_double_up_to_five_minutes():
    pauses = [pause(n) for n in range(15)]
    assert pauses[:5] == [0, 0, 2, 4, 8]
    assert max(pauses) == LONGEST_PAUSE and pauses == sorted(pauses)


def test_a_workload_that_has_crashed_for_days_hinders_no_other_one():
    wanted = {name: workload(name, "00") for name in ("mtg-proxy-1", "mtg-proxy-2")}
    crashed = Observed("mtg-proxy-1", "u", wanted["mtg-proxy-1"].spec, EXITED, crashes=5_000, exited_at=100.0)
    assert [(a.kind, a.name) for a in plan(wanted, [crashed], 200.0)] == [(CREATE, "mtg-proxy-2")]


def test_a_clock_that_is_set_back_keeps_nothing_waiting_that_had_crashed_before():
    wanted = {"mtg-proxy-1": workload("mtg-proxy-1", "00")}
    crashed = Observed("mtg-proxy-1", "u", wanted["mtg-proxy-1"].spec, EXITED, crashes=3, exited_at=1_000_000.0)
    assert [plan(wanted, [crashed], now) == [] for now in (1_000_001.0, 1_000_100.0, 900_000.0)] == [True, False, False]


def test_nor_what_had_failed():
    now = [1_000_000.0]
    backoff = BackOff(lambda: now[0], 300.0)
    backoff.failed("one", "spec")
    backoff.failed("one", "spec")
    assert backoff.resting("one", "spec")
    now[0] = 900_000.0
    assert not backoff.resting("one", "spec")
