"""`settings …`, `config …`, `create-admin` and `reset-password`."""

from __future__ import annotations

import json
from pathlib import Path

from app.checks.addresses import LookupFailed
from app.config.passwords import verify_password

OF_OTHER_PROGRAMS = {
    "server_domain": "proxy.example.com", "server_ip": "192.0.2.7", "proxy_port": "24430",
    "fake_tls_domain": "www.example.com", "upstream_socks5": "user:pass@127.0.0.1:1080",
    "domain_fronting_ip": "192.0.2.8", "domain_fronting_port": "8443", "proxy_bind": "127.0.0.1",
}


def test_settings_that_other_programs_use_are_set_and_read_back(run) -> None:
    for key, value in OF_OTHER_PROGRAMS.items():
        changed = run("settings", "set", f"{key}={value}", "--json").json()
        assert {k: str(v) for k, v in changed.items()} == {key: value.replace(":pass@", ":…@")}
        assert run("settings", "get", key, "--reveal").stdout == value + "\n"
    listed = run("settings", "list", "--reveal", "--json").json()
    assert {key: str(listed[key]) for key in OF_OTHER_PROGRAMS} == OF_OTHER_PROGRAMS


def test_the_listed_settings_are_accepted_as_they_are_printed(run) -> None:
    for line in run("settings", "list").stdout.splitlines():
        key, _, value = line.partition(" ")
        assert run("settings", "set", f"{key}={value.strip()}").code == 0, line


def test_the_server_s_name_goes_into_the_links(run) -> None:
    run("settings", "set", "server_domain=proxy.example.com")
    user = run("user", "add", "Alice", "--disabled", "--json").json()
    assert "server=proxy.example.com&" in user["tg_link"]


def test_config_check_accepts_the_file_it_made_and_tells_of_fields_it_does_not_know(run, data: Path) -> None:
    assert run("config", "check", "--json").json() == {"ok": True, "warnings": []}
    path = data / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "wallpaper": "blue"}))
    (warning,) = run("config", "check", "--json").json()["warnings"]
    assert "wallpaper" in warning
    assert "wallpaper" in run("config", "check").stdout


def test_config_show_masks_what_lets_somebody_in(run, data: Path) -> None:
    user = run("user", "add", "Alice", "--disabled", "--json").json()
    run("create-admin", "--username", "bob", "--password", "correct horse", "--json").json()
    run("settings", "set", "upstream_socks5=carol:swordfish@127.0.0.1:1080")
    declared = json.loads((data / "config.json").read_text())

    for words in (("config", "show"), ("config", "show", "--json")):
        shown = run(*words).stdout
        for hidden in (user["secret"], declared["secret_key"], declared["admin_password_hash"],
                       declared["_initial_password"], declared["admins"][0]["password_hash"], "swordfish"):
            assert hidden not in shown
        assert user["masked_secret"] in shown and "carol:…@127.0.0.1:1080" in shown
    assert run("config", "show", "--reveal", "--json").json() == declared


def test_an_admin_is_created_once_and_logs_in_with_the_password(run, data: Path) -> None:
    created = run("create-admin", "--username", "bob", "--password", "correct horse", "--sudo", "--json")
    assert created.json() == {"username": "bob", "role": "owner", "sudo": True}
    (admin,) = json.loads((data / "config.json").read_text())["admins"]
    assert (admin["role"], admin["sudo"]) == ("owner", True)
    assert verify_password(admin["password_hash"], "correct horse")[0]

    again = ("create-admin", "--username", "bob", "--password", "another password")
    assert "'bob' already" in run(*again).refused()
    assert "8 are needed" in run("create-admin", "--username", "eve", "--password", "short").refused()


def test_a_reset_password_works_and_the_old_one_no_longer(run, data: Path) -> None:
    run("create-admin", "--username", "bob", "--password", "correct horse")
    password = run("reset-password", "--username", "bob", "--json").json()["password"]
    (admin,) = json.loads((data / "config.json").read_text())["admins"]
    assert verify_password(admin["password_hash"], password)[0]
    assert not verify_password(admin["password_hash"], "correct horse")[0]
    assert "no admin 'nobody'" in run("reset-password", "--username", "nobody").refused()


def test_a_change_that_makes_other_links_is_said_and_a_name_that_leads_nowhere_stays_told(run, monkeypatch) -> None:
    monkeypatch.setattr("app.checks.addresses.Addresses.of", no_dns)
    run("settings", "set", "server_ip=203.0.113.7")
    run("user", "add", "Alice", "--disabled")
    assert "links have changed" not in run("settings", "set", "traffic_limit_gb=5").stdout
    said = " ".join(run("settings", "set", "server_domain=nowhere.example").stdout.split())
    assert "The links have changed: send them again." in said and "nowhere.example has no address" in said
    assert "nowhere.example has no address" in " ".join(run("status").stdout.split())
    assert "nowhere.example has no address" in run("status", "--json").json()["server_note"]


def no_dns(_: object, name: str) -> frozenset[str]:
    raise LookupFailed("dns.none", name=name)


def test_what_an_older_file_does_not_tell_is_named_and_never_shown_where_secrets_are_masked(run, data: Path) -> None:
    path = data / "config.json"
    for each in (data / "backups").iterdir():
        each.unlink()
    path.write_text(json.dumps({"server_ip": "my server", "users": [{"name": "Bob", "secret": "swordfish"}]}))
    warnings = run("config", "check", "--json").json()["warnings"]
    assert any("server_ip: 'my server'" in line for line in warnings)
    assert any("users[0] ('Bob').secret" in line for line in warnings)
    assert "my server" in run("status").stdout
    assert "swordfish" not in run("config", "show").stdout
    run("settings", "set", "server_ip=203.0.113.7")
    assert not any("my server" in line for line in run("config", "check", "--json").json()["warnings"])
