"""What telemt is told, and what it tells: the files, the steps of a change, the metrics."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.config.model import Config, User
from app.engines.base import NO_INGRESS, Counters, EngineRefusal, IngressSpec
from app.engines.telemt import api, live
from app.engines.telemt.engine import Telemt, TelemtImage
from app.engines.telemt.live import FILE, Live
from app.engines.telemt.metrics import REVISION, SPEED, readings, told
from app.messages import Problem
from app.rules.links import UserLink, all_links
from app.runtimes.base import Place, Workload
from app.runtimes.docker import spec

AT = Place("[::]:3128", "[::]:3129", ":8443")
EDGE = "10.7.0.2"


def make(config: Config, links: list[UserLink] | None = None,
         front: Callable[[str], IngressSpec] = lambda domain: NO_INGRESS) -> Workload:
    (made,) = TelemtImage().workloads(all_links(config) if links is None else links, config, lambda port: AT, front)
    return made


def static(workload: Workload) -> dict:
    return tomllib.loads(workload.files["config.toml"].replace(f'include = "{FILE}"', workload.live_files[FILE]))


def metrics(*users: str, revision: str = "", connected: Mapping[str, int] = {}, more: str = "") -> str:
    lines = [f'telemt_user_connections_current{{user="{user}"}} {count}' for user, count in connected.items()]
    lines += [f'telemt_user_unique_ips_current{{user="{user}"}} 0' for user in users]
    lines += [f'telemt_user_unique_ips_limit{{user="{REVISION}{revision}"}} 1'] if revision else []
    return "\n".join(["# HELP x y", *lines, *more.splitlines(), "telemt_telemetry_user_series_suppressed 0", ""])


@pytest.fixture
def crowd(user) -> Config:
    return Config(secret_key="key of this installation", users=[
        user(id=f"a1b2c3d{n}", name=f"User {n}", port=2443 + n) for n in range(3)])


def test_a_change_of_users_is_in_the_live_file_alone(crowd: Config, user) -> None:
    before = make(crowd)
    crowd.users.append(user(id="ffffffff", port=3000))
    crowd.users[0].traffic_limit_gb, crowd.users[0].expires_at = 5, datetime.now(UTC) + timedelta(days=1)
    after = make(crowd)
    assert (before.spec, before.files) == (after.spec, after.files)
    assert before.live != after.live
    assert len(after.links) == 4 and after.settled_links == (), "its links are told by its metrics"
    text = before.files["config.toml"]
    assert not any(each.secret[2:34] in text for each in crowd.users)


def test_the_workload_has_one_port_a_memory_limit_of_its_own_and_asks_its_own_health(crowd: Config) -> None:
    crowd.telemt_memory_mb, crowd.telemt_image = 300, "local/telemt:1"
    made = make(crowd)
    body = spec.container(made, "instance", "net")
    assert (made.port, made.memory_mb, body["Image"]) == (crowd.shared_port, 300, "local/telemt:1")
    assert body["Healthcheck"]["Test"] == [
        "CMD", "/app/telemt", "healthcheck", "/config/config.toml", "--mode", "liveness"]
    assert body["Cmd"] == ["run", "/config/config.toml"]
    assert (body["HostConfig"]["CapDrop"], body["HostConfig"]["ReadonlyRootfs"], body["User"]) == (
        ["ALL"], True, "65534:65534")


def test_a_proxy_header_is_believed_from_nginx_alone(crowd: Config) -> None:
    alone = static(make(crowd))["server"]
    assert (alone["proxy_protocol"], alone["proxy_protocol_trusted_cidrs"]) == (False, [])
    behind = static(make(crowd, front=lambda domain: IngressSpec(True, addresses=(EDGE,))))["server"]
    assert (behind["proxy_protocol"], behind["proxy_protocol_trusted_cidrs"]) == (True, ["10.7.0.2/32"])
    routed = static(make(crowd, front=lambda domain: IngressSpec(True, addresses=(EDGE, "172.28.255.253"))))["server"]
    assert routed["proxy_protocol_trusted_cidrs"] == [f"{EDGE}/32", "172.28.255.253/32"]
    unknown = static(make(crowd, front=lambda domain: IngressSpec(True)))["server"]
    assert unknown["proxy_protocol_trusted_cidrs"] == [], "nobody is believed, and never everybody"


def test_the_api_has_the_installation_s_key_changes_nothing_and_answers_private_networks(crowd: Config) -> None:
    told = static(make(crowd))["server"]["api"]
    assert told["read_only"] and told["auth_header"] == api.auth_header(crowd.secret_key)
    assert crowd.secret_key not in told["auth_header"] and len(told["auth_header"]) > 60
    assert api.auth_header("another") != told["auth_header"]
    assert not any(network.endswith("/0") for network in told["whitelist"])
    assert static(make(crowd))["server"]["metrics_whitelist"] == told["whitelist"]


def test_its_log_has_no_links_and_it_asks_nobody_who_this_server_is(crowd: Config) -> None:
    told = static(make(crowd))
    assert told["general"]["links"]["show"] == []
    assert (told["network"]["stun_use"], told["network"]["http_ip_detect_urls"], told["general"]["ntp_check"]) == (
        False, [], False)


def test_strangers_are_shown_our_cover_the_pinned_host_or_the_site_they_asked_for(crowd: Config) -> None:
    def cover(front: Callable[[str], IngressSpec] = lambda domain: NO_INGRESS) -> dict:
        return static(make(crowd, front=front))["censorship"]

    assert cover()["tls_domain"] == crowd.fake_tls_domain and "mask_host" not in cover()
    assert set(cover()["tls_domains"]) == set(crowd.domain_pool) - {crowd.fake_tls_domain}
    closed = cover(lambda domain: IngressSpec(cover="127.0.0.1:9" if domain == "www.google.com" else ""))
    assert "www.google.com" not in closed["tls_domains"], "it leads back here"
    nowhere = cover(lambda domain: IngressSpec(cover="127.0.0.1:9"))
    assert (nowhere["mask_host"], nowhere["mask_port"]) == ("127.0.0.1", 9)
    crowd.sni_mode, crowd.sni_base_domain = "own", "example.org"
    ours = cover(lambda domain: IngressSpec(True, f"{EDGE}:8444" if domain.endswith("example.org") else ""))
    assert (ours["tls_domain"], ours["mask_host"], ours["mask_port"], ours["mask_proxy_protocol"]) == (
        "example.org", EDGE, 8444, 1)
    crowd.domain_fronting_ip, crowd.domain_fronting_port = "192.0.2.8", 8000
    pinned = cover()
    assert (pinned["mask_host"], pinned["mask_port"], "mask_proxy_protocol" in pinned) == ("192.0.2.8", 8000, False)


def test_the_way_to_telegram_goes_through_a_socks_server_with_a_login_of_any_characters(crowd: Config) -> None:
    assert static(make(crowd))["upstreams"] == [{"type": "direct"}]
    crowd.upstream_socks5 = 'bob@home:p"a:ss\\@[2001:db8::1]:1080'
    assert static(make(crowd))["upstreams"] == [
        {"type": "socks5", "address": "[2001:db8::1]:1080", "username": "bob@home", "password": 'p"a:ss\\'}]


def test_whoever_expires_is_told_so_too_and_of_two_times_the_earlier_one_counts(crowd: Config) -> None:
    until = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    link = replace(all_links(crowd)[0], until=until)
    assert live.of([link]).expires == {link.id: "2030-01-02T03:04:05Z"}
    link.user.expires_at = until - timedelta(days=1)
    assert live.of([link]).expires == {link.id: "2030-01-01T03:04:05Z"}


def test_the_file_is_read_as_it_was_written() -> None:
    made = Live({"a" * 12: "0" * 32}, {"a" * 12: "2030-01-01T03:04:05Z"}, {"a" * 12: 3}, {"a" * 12: 1000}, ["b" * 12])
    assert live.parse(made.text()) == made
    assert live.parse("[access") is None and live.parse("") is None


ALICE, BOB = "a" * 12, "b" * 12
BOTH = Live({ALICE: "1" * 32, BOB: "2" * 32})


@pytest.mark.parametrize("held, wanted, connected, ending", [
    (BOTH, replace(BOTH, users={ALICE: "1" * 32}), {}, {BOB}),
    (BOTH, replace(BOTH, users={ALICE: "1" * 32, BOB: "3" * 32}), {}, {BOB}),
    (BOTH, replace(BOTH, speeds={ALICE: 1000}), {}, {ALICE}),
    (replace(BOTH, speeds={ALICE: 1000}), BOTH, {}, {ALICE}),
    (BOTH, replace(BOTH, users={**BOTH.users, "c" * 12: "3" * 32}), {}, {"c" * 12}),
    (BOTH, replace(BOTH, addresses={ALICE: 1}), {}, set()),
    (BOTH, BOTH, {"d" * 12: 1}, {"d" * 12}),
    (BOTH, BOTH, {ALICE: 1}, set()),
])
def test_sessions_end_in_a_first_step_where_the_file_alone_would_not_end_them(held, wanted, connected, ending) -> None:
    texts = live.steps(held.text(), wanted.text(), metrics(ALICE, BOB, connected=connected))
    assert texts[-1] == wanted.text()
    assert [set(live.parse(text).disabled) for text in texts[:-1]] == ([ending] if ending else [])


def test_where_a_hand_has_broken_the_file_whoever_telemt_still_serves_is_known_by_its_metrics() -> None:
    wanted = replace(BOTH, users={ALICE: "1" * 32}).text()
    first, last = live.steps("[broken", wanted, metrics(ALICE, BOB))
    assert (live.parse(first).disabled, last) == ([BOB], wanted)


def test_what_a_hand_has_written_under_our_hash_is_not_taken_for_ours() -> None:
    wanted = BOTH.text()
    for edited in ("[broken", wanted.replace(f'{BOB} = "{"2" * 32}"\n', f'{BOB} = "{"2" * 32}"\n\n')):
        first, last = live.steps(edited, wanted, metrics(ALICE, BOB))
        assert last == wanted and live.parse(first) == replace(BOTH, disabled=["nobody"])
        assert not live.holds(first, metrics(ALICE, BOB, revision=live._REVISION.search(wanted)[1]))
    assert live.steps(wanted, wanted, "") == [wanted]


def test_whoever_is_new_to_telemt_comes_with_a_key_that_is_nobody_s_as_its_log_tells_the_first_one() -> None:
    carol = "c" * 12
    wanted = replace(BOTH, users={**BOTH.users, carol: "3" * 32}).text()
    for held, now in ((BOTH.text(), metrics(ALICE, BOB)), (BOTH.text(), ""), (wanted, metrics(ALICE, BOB)),
                      ("[broken", metrics(ALICE, BOB))):
        first, last = live.steps(held, wanted, now)
        assert "3" * 32 not in first and last == wanted
        told_of = live.parse(first)
        assert carol in told_of.disabled and len(told_of.users[carol]) == 32, "it opens nothing"
        assert (told_of.users[ALICE], told_of.users[BOB]) == ("1" * 32, "2" * 32), "nobody else notices"
    without_bob = replace(BOTH, users={ALICE: "1" * 32}).text()
    first, _ = live.steps(without_bob, BOTH.text(), metrics(ALICE, connected={BOB: 1}))
    assert live.parse(first).disabled == [] and "2" * 32 not in first, "who has sessions keeps them"


def test_what_telemt_goes_by_is_known_by_a_name_that_no_user_can_have() -> None:
    text = BOTH.text()
    revision = next(name for name in tomllib.loads(text)["access"]["user_max_unique_ips"]).removeprefix(REVISION)
    assert live.holds(text, metrics(ALICE, BOB, revision=revision))
    assert not live.holds(text, metrics(ALICE, BOB, revision="0" * 16))
    assert not live.holds(text, metrics(ALICE, BOB))
    assert not live.holds(text, metrics(ALICE, revision=revision, connected={"c" * 12: 1})), "a stranger is connected"
    assert live.holds(text, metrics(ALICE, revision=revision, connected={ALICE: 1}))


def test_counters_are_those_of_links_and_half_a_text_is_none() -> None:
    text = metrics(ALICE, BOB, connected={ALICE: 2}, more=f"""\
telemt_user_octets_from_client{{user="{ALICE}"}} 100
telemt_user_octets_to_client{{user="{ALICE}"}} 9007199254740993
telemt_user_unique_ips_limit{{user="{ALICE}{SPEED}"}} 5000
telemt_user_octets_to_client{{user="somebody else"}} 7
telemt_connections_bad_by_class_total{{class="unknown_tls_sni"}} 4
""")
    told_of = readings(text)
    assert told_of[ALICE] == Counters(down=9007199254740993, up=100, connections=2, clients=2, bits_per_second=5000,
                                      addresses=0)
    assert told_of[BOB] == Counters(addresses=0), "served, and idle for a day: its counters begin again"
    assert set(told_of) == {ALICE, BOB}
    assert told(text).bad == {"unknown_tls_sni": 4}
    for part in (text[: len(text) // 2], text.replace("suppressed 0", "suppressed 1"), ""):
        with pytest.raises(ValueError):
            readings(part)


def test_it_serves_nobody_without_the_program(user) -> None:
    config = Config(users=[user()])
    engine = Telemt("/nowhere/telemt")
    engine.binary = None
    with pytest.raises(EngineRefusal, match="TELEMT_BIN"):
        engine.workloads(all_links(config), config, lambda port: AT, lambda domain: NO_INGRESS)
    assert engine.workloads([], config, lambda port: AT, lambda domain: NO_INGRESS) == []


def test_a_user_of_the_model_has_nothing_that_telemt_could_refuse(user) -> None:
    odd: list[User] = [user(id=f"id-{n}", port=2000 + n, name=name) for n, name in enumerate(
        ('"]\n[x]', "Ольга", "a" * 60, "0", "'''"))]
    text = live.of(all_links(Config(users=odd))).text()
    assert len(tomllib.loads(text)["access"]["users"]) == len(odd)
    assert text.isascii()


def test_its_log_tells_what_is_wrong_since_the_start_and_no_key() -> None:
    log = """\
2026-11-28T00:00:00.500000Z ERROR telemt::config::hot_reload: config reload: failed to parse "/c/config.toml": Old
2026-11-28T00:10:00.500000Z  INFO telemt::config::hot_reload: config reload: users added: [bd039c0a59d5]
2026-11-28T00:10:01.500000Z  WARN telemt::maestro::tls_bootstrap: TLS-front fetch not ready within timeout; using \
cache/default fake cert fallback domain=www.example.com timeout_ms=15000 fake_cert_len=2048
2026-11-28T00:10:02.500000Z ERROR telemt::config::hot_reload: config reload: failed to parse "/c/config.toml": Config \
error: TOML parse error at line 8, column 9
  | abcdef = "a key that nobody should see"
"""
    start = datetime(2026, 11, 28, 0, 10, tzinfo=UTC).timestamp()
    found = Telemt("/bin/telemt").findings(log, start, start + 60)
    assert found == [
        Problem("telemt.file_refused", {"reason": "Config error: TOML parse error at line 8, column 9"}),
        Problem("telemt.not_imitated", {"domain": "www.example.com", "count": 1})]
    assert Telemt("/bin/telemt").findings("", start) == []
