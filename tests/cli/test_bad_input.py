"""Bad input, given to the command line: its message, its exit code, and nothing changed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("unchanged")


@pytest.fixture
def alice(run) -> dict:
    return run("user", "add", "Alice", "--disabled", "--json").json()


@pytest.fixture
def unchanged(data: Path, alice: dict) -> Iterator[None]:
    """The declaration, Alice in it, is byte for byte the same after the test."""
    before = (data / "config.json").read_bytes()
    yield
    assert (data / "config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "name is needed"),
        ("   ", "name is needed"),
        ("Alice", "'Alice' already"),
        ("ALICE", "'Alice' already"),
        ("x" * 300, "300 characters; 64 are allowed"),
        ("a\tb", r"control character '\t'"),
        ("a\x1b[31mb", r"control character '\x1b'"),
        ("a\nb", r"control character '\n'"),
    ],
)
def test_a_bad_name_is_refused(run, name: str, told: str) -> None:
    assert told in run("user", "add", name).refused()
    if name not in ("Alice", "ALICE"):
        assert told in run("user", "set", "Alice", f"name={name}").refused()


@pytest.mark.parametrize(
    "domain", ["no-dot", "two words.com", "1.2.3.4", "-a.com", "a..com", "x" * 300 + ".com",
               "https://example.com/", "under_score.com"]
)
def test_a_domain_that_is_none_is_refused(run, domain: str) -> None:
    assert "host name" in run("user", "add", "Bob", "--domain", domain).refused()
    assert "host name" in run("user", "set", "Alice", f"domain={domain}").refused()
    assert "host name" in run("settings", "set", f"fake_tls_domain={domain}").refused()


@pytest.mark.parametrize("number", ["-1", "abc", "1e99", "nan", "inf", "1 GB", "99999999"])
def test_a_limit_that_is_no_number_from_zero_up_is_refused(run, number: str) -> None:
    for words in (
        ("user", "add", "Bob", f"--limit-gb={number}"),
        ("user", "add", "Bob", f"--speed-mbps={number}"),
        ("user", "set", "Alice", f"limit_gb={number}"),
        ("user", "set", "Alice", f"speed_mbps={number}"),
        ("settings", "set", f"traffic_limit_gb={number}"),
        ("settings", "set", f"throttle_speed_mbps={number}"),
    ):
        message = run(*words).refused()
        assert repr(number) in message or number in message
        assert "GB" in message or "Mbit/s" in message


@pytest.mark.parametrize("date", ["yesterday", "2027-02-30", "31.01.2027", "2020-01-01"])
def test_an_expiry_that_is_no_coming_date_is_refused(run, date: str) -> None:
    assert date in run("user", "add", "Bob", "--expires", date).refused()


@pytest.mark.parametrize("port", ["0", "65536", "-1", "abc", "80.5", ""])
def test_a_port_that_is_none_is_refused(run, port: str) -> None:
    assert "from 1 to 65535" in run("user", "set", "Alice", f"port={port}").refused()
    assert "from 1 to 65535" in run("settings", "set", f"proxy_port={port}").refused()


def test_a_port_taken_by_another_program_is_refused_and_the_program_named(command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        message = command("user", "set", "Alice", f"port={port}").refused()
    assert f"port {port} is taken by another program" in message
    assert f"pid {os.getpid()}" in message


@pytest.mark.parametrize("secret", ["", "zz", "ee" + "ab" * 16, "ee" + "ab" * 16 + "20", "dd00"])
def test_a_secret_that_is_none_is_refused(run, secret: str) -> None:
    assert "secret" in run("user", "set", "Alice", f"secret={secret}").refused()


@pytest.mark.parametrize(
    "pair", ["upstream_socks5=nonsense", "server_ip=300.1.1.1", "server_domain=a b", "proxy_bind=everywhere",
             "domain_fronting_port=0", "domain_fronting_ip=example.com", "proxy_prefer_ip=v9"]
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(run, pair: str) -> None:
    assert pair.partition("=")[0] in run("settings", "set", pair).refused()


def test_of_several_changes_all_or_none_are_made(run) -> None:
    run("settings", "set", "server_ip=192.0.2.1", "proxy_port=abc").refused()
    run("user", "set", "Alice", "note=new", "limit_gb=-1").refused()


def test_an_unknown_key_is_refused_with_the_list_of_those_that_exist(run) -> None:
    told = run("user", "set", "Alice", "colour=red").refused()
    assert "there are: " in told and "limit_gb, " in told and "speed_mbps, " in told
    assert "fake_tls_domain" in run("settings", "set", "colour=red").refused()
    assert "fake_tls_domain" in run("settings", "get", "colour").refused()


@pytest.mark.parametrize(
    "words",
    [
        ("user",), ("user", "add"), ("user", "paint", "Alice"), ("user", "add", "Bob", "--colour"),
        ("user", "set", "Alice"), ("user", "set", "Alice", "note"), ("user", "set", "Alice", "=x"),
        ("user", "set", "Alice", "note=a", "note=b"), ("settings", "set"), ("settings", "set", "proxy_port"),
        ("user", "remove", "Alice"), ("probe",), ("create-admin", "--username", "bob"),
        ("serve", "--port", "99999"), ("serve", "--port", "abc"), ("--data", "", "status"),
        ("--data", "install.sh", "status"), ("nonsense",),
    ],
)
def test_bad_usage_exits_with_2(run, words: tuple[str, ...]) -> None:
    plain = run(*words)
    assert (plain.code, plain.stdout) == (2, "") and plain.stderr
    answer = run(*words, "--json")
    assert (answer.code, answer.stdout) == (2, "")
    assert json.loads(answer.stderr)["error"]


def test_with_json_a_refusal_is_one_document_on_stderr(command) -> None:
    error = json.loads(command("user", "add", "Alice", "--json").refused())
    assert error["field"] == "name" and "'Alice' already" in error["error"]


CHANGES = [
    ("user", "add", "Bob"), ("user", "remove", "Alice", "--yes"), ("settings", "set", "proxy_port=2444"),
]


@pytest.fixture
def broken(data: Path, unchanged: None) -> Iterator[Path]:
    """The declaration, for a test to break; afterwards it is whole again."""
    path = data / "config.json"
    kept = path.read_bytes()
    yield path
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.write_bytes(kept)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"proxy_port": 2443, "fake_tls_domian": "www.example.com"}', "did you mean 'fake_tls_domain'"),
        ('{"proxy_port": 2443, "users": [', "line 1"),
        ("", "empty"),
        ("[]", "a list"),
        ('"text"', "a text"),
        ('{"proxy_port": "high"}', "proxy_port: 'high'"),
        ('{"users": [{"name": "A", "port": 2443}]}', "secret is missing"),
        ('{"users": {}}', "users"),
        ('{"server_ip": 5}', "server_ip"),
        ("\x80{}", "UTF-8"),
    ],
)
def test_a_broken_config_file_is_never_overwritten(run, broken: Path, text: str, told: str) -> None:
    broken.write_bytes(text.encode("latin-1"))
    for words in (("config", "check"), ("status",), *CHANGES):
        message = run(*words).refused()
        assert str(broken) in message and told in message
        assert "config-" in message  # the last good version is named
    assert broken.read_bytes() == text.encode("latin-1")


def test_a_config_file_that_is_a_folder_is_told(run, broken: Path) -> None:
    broken.unlink()
    broken.mkdir()
    for words in CHANGES:
        assert "Is a directory" in run(*words).refused()


def test_a_config_file_that_may_not_be_read_is_told(command, broken: Path) -> None:
    broken.chmod(0)
    # Root may read everything, unless it gives up the capabilities to.
    prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    for words in (("status",), *CHANGES):
        assert "Permission denied" in command(*words, prefix=prefix).refused()
    broken.chmod(0o600)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 1 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount the small disk")
def test_a_full_disk_is_told_and_costs_nothing(command, data: Path, full_disk: Path) -> None:
    shutil.copytree(data, full_disk / "data")
    there = full_disk / "data"
    # SQLite's files exist and have room of their own before the disk fills up.
    assert command("status", "--data", str(there)).code == 0
    with open(full_disk / "ballast", "wb", buffering=0) as ballast:
        with pytest.raises(OSError, match="No space left"):
            while True:
                ballast.write(bytes(4096))
    before = (there / "config.json").read_bytes()

    for words in CHANGES:
        message = command(*words, "--data", str(there)).refused()
        assert "the disk is full" in message
    assert (there / "config.json").read_bytes() == before

    (full_disk / "ballast").unlink()
    assert command("user", "set", "Alice", "note=room again", "--data", str(there)).code == 0
