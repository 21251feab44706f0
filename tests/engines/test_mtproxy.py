"""MTProxy as an engine: whom which container serves, what it is started with, and what is read of it."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.config.model import Config, User, dump, load
from app.engines.base import NO_INGRESS, EngineRefusal, together
from app.engines.mtproxy import stats
from app.engines.mtproxy.engine import Mtproxy, MtproxyImage
from app.engines.mtproxy.telegram_files import NotTelegrams, Store, valid_conf, valid_secret
from app.rules.links import link_port, links
from app.runtimes.base import Place, Workload

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
CONF = b"# force_probability 1 10\ndefault 2;\n" + b"".join(
    b"proxy_for %d 149.154.175.%d:8888;\n" % (dc, 50 + abs(dc)) for dc in (1, -1, 2, -2, 3, -3, 4, -4, 5, -5))
SECRET = bytes(range(128, 256))
STATS = ("uptime\t61\nworkers\t1\next_connections\t3\next_connections_created\t9\nversion\tmtproxy-3.0.10\n"
         "net_received\t1000\nnet_sent\t800\n")


def key(number: int) -> str:
    return f"{number:032x}"


def tls(number: int, domain: str = "www.example.com") -> str:
    return f"ee{key(number)}{domain.encode().hex()}"


def config_of(secrets: Iterable[str], **settings: object) -> Config:
    """One user for each secret, all of MTProxy, as the file is read."""
    users = [{"name": f"user {number}", "id": f"u{number}", "port": 3000 + number, "secret": secret}
             for number, secret in enumerate(secrets)]
    return load({"engine": "mtproxy", **settings, "users": users})


@pytest.fixture
def engine(tmp_path: Path) -> MtproxyImage:
    store = Store(tmp_path / "mtproxy")
    store.keep(SECRET, CONF)
    return MtproxyImage(store)


def made(engine: Mtproxy, config: Config) -> list[Workload]:
    all_links = [link for user in config.users for link in links(user, config, NOW)]
    return engine.workloads(all_links, config, lambda port: Place("0.0.0.0:3128", "0.0.0.0:3129", f":{port}"),
                            lambda domain: NO_INGRESS)


def numbers(config: Config) -> list[int]:
    return [user.mtproxy_container for user in config.users]


def words(workload: Workload) -> list[str]:
    return workload.files["arguments"].splitlines()


# Who is served where

def test_the_seventeenth_user_gets_a_second_container_and_moves_nobody() -> None:
    config = config_of("dd" + key(n) for n in range(16))
    assert numbers(config) == [1] * 16
    config.users.append(User(id="x", name="Xenia", port=5000, secret="dd" + key(99)))
    assert numbers(load(dump(config))) == [1] * 16 + [2]


def test_whoever_is_deleted_leaves_a_place_for_the_next_one_and_nobody_is_reshuffled() -> None:
    config = config_of("dd" + key(n) for n in range(40))
    before = {user.id: user.mtproxy_container for user in config.users}
    del config.users[3], config.users[20]
    config.users.insert(0, User(id="zed", name="Zed", port=5000, secret="dd" + key(99)))
    after = {user.id: user.mtproxy_container for user in load(dump(config)).users}
    assert after.pop("zed") == 1
    assert after == {user: number for user, number in before.items() if user in after}


def test_secrets_with_a_domain_are_served_apart_from_those_without() -> None:
    config = config_of(["dd" + key(1), tls(2), key(3), tls(4)])
    assert numbers(config) == [1, 2, 1, 2]
    config.users[0].secret = tls(1)
    assert numbers(load(dump(config))) == [2, 2, 1, 2]


def test_who_changes_to_another_kind_of_secret_is_the_only_one_who_moves() -> None:
    config = config_of([key(1), "dd" + key(2), tls(3)])
    config.users[1].secret = tls(2)
    assert numbers(load(dump(config))) == [1, 2, 2]


def test_numbers_written_by_hand_that_are_too_many_for_one_container_are_mended() -> None:
    config = config_of("dd" + key(n) for n in range(20))
    for user in config.users:
        user.mtproxy_container = 7
    assert numbers(load(dump(config))) == [7] * 16 + [1] * 4


def test_a_container_is_not_put_on_the_port_of_another_user_or_of_telemt() -> None:
    config = config_of(("dd" + key(n) for n in range(17)), mtproxy_first_port=3004, shared_port=3017)
    assert numbers(config) == [14] * 16 + [15], "3004 to 3016 are users'; telemt serves nobody"
    tom = {"name": "Tom", "id": "t", "port": 4000, "engine": "telemt", "secret": tls(9)}
    document = {**dump(config), "users": [tom, *({**user, "mtproxy_container": 0} for user in dump(config)["users"])]}
    assert numbers(load(document)) == [0] + [15] * 16 + [16], "3017 is telemt's"


def test_who_has_left_for_another_engine_holds_no_place() -> None:
    config = config_of("dd" + key(n) for n in range(16))
    config.users[0].engine = "builtin"
    config.users.append(User(id="x", name="Xenia", port=5000, secret="dd" + key(99)))
    assert numbers(load(dump(config)))[-1] == 1


def test_a_file_without_numbers_gets_the_same_ones_each_time() -> None:
    assert numbers(config_of("dd" + key(n) for n in range(50))) == [1] * 16 + [2] * 16 + [3] * 16 + [4] * 2


def test_the_link_carries_the_port_of_its_container_on_port_443_too(engine: MtproxyImage) -> None:
    for mode in (False, True):
        config = config_of(("dd" + key(n) for n in range(17)), port_443_mode=mode, public_port=9999)
        assert [link_port(user, config, 443, together(user, config, engine)) for user in config.users] \
            == [8543] * 16 + [8544]
        config.users[0].public_port = 7777
        assert link_port(config.users[0], config, 443, together(config.users[0], config, engine)) == 7777


# What it is started with

def test_one_container_serves_all_of_its_users_and_says_which_links(engine: MtproxyImage) -> None:
    config = config_of([*("dd" + key(n) for n in range(17)), tls(50)])
    first, second, third = made(engine, config)
    assert [each.name for each in (first, second, third)] == [
        "mtg-proxy-mtproxy", "mtg-proxy-mtproxy-2", "mtg-proxy-mtproxy-3"]
    assert [len(each.links) for each in (first, second, third)] == [16, 1, 1]
    assert [each.port for each in (first, second, third)] == [8543, 8544, 8545]
    assert first.shared and first.settled_links == first.links and not first.user_id
    assert words(first).count("-S") == 16 and "-D" not in words(first)
    assert words(third)[-4:] == ["-S", key(50), "-D", "www.example.com"]
    assert words(third)[words(third).index("-M") + 1] == "0", "with domains it has no workers"


def test_it_is_told_bare_keys_whatever_the_link_begins_with(engine: MtproxyImage) -> None:
    (one,) = made(engine, config_of([key(1), "dd" + key(2)], mtproxy_workers=3, mtproxy_connections=500))
    assert words(one) == ["-p", "3130", "-H", "3128", "--http-stats", "-M", "3", "-C", "500",
                          "-S", key(1), "-S", key(2)]


def test_the_order_of_users_and_what_stands_beside_them_restart_nothing(engine: MtproxyImage) -> None:
    config = config_of("dd" + key(n) for n in range(5))
    (before,) = made(engine, config)
    config.users.reverse()
    config.users[0].note, config.users[0].traffic_limit_gb, config.users[0].name = "new", 5, "Zoe"
    (after,) = made(engine, config)
    assert before.spec == after.spec
    config.users[0].secret = "dd" + key(77)
    assert made(engine, config)[0].spec != before.spec


def test_a_tag_is_passed_on_if_it_is_one(engine: MtproxyImage) -> None:
    (with_tag,) = made(engine, config_of([key(1)], proxy_tag=" ABCDEF0123456789abcdef0123456789"))
    assert words(with_tag)[-2:] == ["-P", "abcdef0123456789abcdef0123456789"]
    (without,) = made(engine, config_of([key(1)], proxy_tag="my channel"))
    assert "-P" not in words(without), "MTProxy would end itself with it"


def test_the_same_key_twice_is_told_once_and_old_links_of_it_are_served(engine: MtproxyImage) -> None:
    config = config_of([tls(1, "new.example.com"), tls(1, "www.example.com")], port_443_mode=True)
    (one,) = made(engine, config)
    assert words(one).count("-S") == 1
    assert [word for word in words(one) if "." in word] == ["new.example.com", "www.example.com"]
    assert len(one.links) == 2


def test_its_files_are_text_and_the_address_of_the_server_is_told(engine: MtproxyImage) -> None:
    (one,) = made(engine, config_of([key(1)], server_ip="203.0.113.7", server_domain="proxy.example.com"))
    assert base64.b64decode(one.files["proxy-secret.b64"]) == SECRET
    assert one.files["proxy-multi.conf"] == valid_conf(CONF)
    assert one.env == {"MTPROXY_ADDRESS": "203.0.113.7"}
    assert made(engine, config_of([key(1)]))[0].env == {}


def test_without_telegrams_files_it_serves_nobody_and_says_which_command_helps(tmp_path: Path) -> None:
    engine = MtproxyImage(Store(tmp_path / "mtproxy"))
    with pytest.raises(EngineRefusal, match="mtproxy files proxy-secret proxy-multi.conf"):
        made(engine, config_of([key(1)]))
    assert made(engine, Config()) == []


def test_without_docker_it_serves_nobody_and_says_why() -> None:
    with pytest.raises(EngineRefusal, match="process ids are above 65535"):
        made(Mtproxy(), config_of([key(1)]))
    assert Mtproxy().missing() and made(Mtproxy(), Config()) == []


# What is read of it

def test_of_one_link_connections_are_read_and_its_traffic_is_an_estimate() -> None:
    (told,) = Mtproxy().readings(["a"], STATS).values()
    assert (told.connections, told.down, told.up, told.estimated) == (3, 450, 450, True)


def test_of_several_links_nothing_is_made_up() -> None:
    assert Mtproxy().readings(["a", "b"], STATS) == {}


def test_what_mtproxy_talks_with_telegram_by_itself_is_nobodys_traffic() -> None:
    idle = STATS.replace("created\t9", "created\t0").replace("ext_connections\t3", "ext_connections\t0")
    (told,) = Mtproxy().readings(["a"], idle).values()
    assert (told.connections, told.down, told.up) == (0, 0, 0)


@pytest.mark.parametrize("text", ["", "uptime\t5\n", STATS.replace("net_sent\t800\n", ""), STATS.replace("9", "x"),
                                  STATS.replace("800", "-1"), "<html>\t</html>", STATS[:40]])
def test_what_is_no_whole_answer_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        stats.parse(text)


# Telegram's files

@pytest.mark.parametrize("data", [b"", b"x" * 16, os.urandom(257), b"<html><body>502 Bad Gateway</body></html>",
                                  b"\x01" * 128])
def test_what_is_no_key_is_refused(data: bytes) -> None:
    with pytest.raises(NotTelegrams):
        valid_secret(data)


@pytest.mark.parametrize("data", [
    b"", b"<html>429 Too Many Requests</html>", CONF[:-30], CONF[: CONF.index(b"proxy_for 5")], b"\xff\xfe" + CONF,
    CONF + b"proxy_for 2 192.0.2.1:99999;\n", CONF + b"include /etc/passwd;\n", CONF + b"proxy_for 2 192.0.2.1;\n",
    CONF * 400, CONF + b"\0"])
def test_what_is_not_the_whole_of_telegrams_addresses_is_refused(data: bytes) -> None:
    with pytest.raises(NotTelegrams):
        valid_conf(data)


def test_the_same_addresses_in_another_order_and_with_other_comments_are_the_same_text() -> None:
    lines = CONF.splitlines(keepends=True)
    shuffled = b"# another day\r\n" + b"".join([lines[1], *reversed(lines[2:]), lines[3]])
    assert valid_conf(shuffled) == valid_conf(CONF)
    assert valid_conf(CONF).splitlines()[0] == "default 2;"
    assert "proxy_for 2 [2001:db8::5]:443;" in valid_conf(CONF + b"proxy_for  2\t[2001:db8::5]:443 ;")


def test_good_files_are_kept_with_their_rights_and_bad_ones_change_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "mtproxy")
    assert store.read() is None
    assert store.keep(SECRET, CONF) and not store.keep(SECRET, CONF + b"# later\n")
    modes = {name: (tmp_path / "mtproxy" / name).stat().st_mode & 0o777
             for name in ("proxy-secret", "proxy-multi.conf")}
    assert modes == {"proxy-secret": 0o600, "proxy-multi.conf": 0o644}
    for secret, conf in ((b"<html>", CONF), (SECRET, CONF[:-30])):
        with pytest.raises(NotTelegrams):
            store.keep(secret, conf)
    there = store.read()
    assert there and (there.secret, there.conf) == (SECRET, valid_conf(CONF))


def test_a_file_that_somebody_has_damaged_counts_as_none(tmp_path: Path) -> None:
    store = Store(tmp_path / "mtproxy")
    store.keep(SECRET, CONF)
    (tmp_path / "mtproxy/proxy-multi.conf").write_text("default 2;\n")
    assert store.read() is None
    store.keep(SECRET, CONF)
    assert store.read() is not None
