"""MTProxy by the API: another installation is taken over as its file is, and Telegram's files are given by hand."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from app import create_app
from app.accounts.actor import CLI
from app.actions import admins, tokens
from app.control import telegram_files
from app.engines.base import by_name
from app.engines.builtin import Builtin
from app.engines.mtproxy.engine import Mtproxy, MtproxyImage
from app.engines.mtproxy.telegram_files import Store
from app.mtproto.secret import Secret
from tests.api.program import PASSWORD, Program
from tests.engines.test_mtproxy import CONF, SECRET
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime

PLAIN, TLS = "0123456789abcdef" * 2, Secret.generate("www.example.com").hex
FILE = {"secrets": [{"value": PLAIN, "padding_enabled": True, "active": True, "name": "Zoë <b>\"&"},
                    {"value": TLS, "padding_enabled": False, "active": False}],
        "metadata": {"version": "1"}}


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    fleet = Fleet(tmp_path, MemoryRuntime(), by_name(Builtin(), MtproxyImage(Store(tmp_path / "mtproxy"))))
    for name, role in (("Ada", "owner"), ("Olga", "operator")):
        admins.create_admin(fleet, CLI, name, PASSWORD, role)
    fleet.set_settings({"server_ip": "203.0.113.7", "mtproxy_files_url": "http://127.0.0.1:9"})
    return fleet


def test_a_file_of_another_installation_is_taken_over_once_and_by_operators_too(program, fleet):
    olga = program("users", "Olga")
    first = olga.post("/mtproxy/import", FILE)
    assert first.status_code == 200 and first.json["known"] == 0
    assert [each["name"] for each in first.json["added"]] == ['Zoë <b>"&', "mtproxy-1"]
    assert olga.get(f"/users/{first.json['added'][0]['id']}/link").json["secret"] == f"dd{PLAIN}"
    assert [user.enabled for user in fleet.users()] == [True, False]
    assert [each["code"] for each in first.json["unserved"]] == ["engine.mtproxy_no_files"]
    assert "mtproxy files" in first.json["unserved"][0]["message"]
    assert olga.post("/mtproxy/import", FILE).json == {"added": [], "known": 2, "unserved": []}
    status = olga.get("/mtproxy").json
    assert [(each["users"], each["tls"], each["port"]) for each in status["containers"]] == [
        (1, False, 8543), (1, True, 8544)]


@pytest.mark.parametrize("secrets", [[{}], [{"value": 5}], ["x"], [{"value": PLAIN}, {"value": "no secret"}]])
def test_a_file_with_one_entry_that_is_none_takes_nothing_over(ada, fleet, secrets):
    answer = ada.post("/mtproxy/import", {"secrets": secrets})
    assert answer.status_code == 422 and answer.json["errors"][0]["field"] == "secrets"
    assert fleet.users() == []


def test_telegrams_files_are_given_by_hand_by_owners_and_only_if_they_are_telegrams(ada, program, fleet):
    sent = {"proxy_secret": base64.b64encode(SECRET).decode(), "proxy_multi_conf": CONF.decode()}
    assert ada.get("/mtproxy").json == {"containers": [], "files_age_s": None}
    assert program("users").post("/mtproxy/files", sent).status_code == 403
    assert ada.post("/mtproxy/files", {**sent, "proxy_secret": "%"}).json["code"] == "api.no_base64"
    wrong = ada.post("/mtproxy/files", {**sent, "proxy_multi_conf": "<html>"})
    assert wrong.status_code == 409 and telegram_files.store(fleet).read() is None
    assert ada.post("/mtproxy/files", sent).json["files_age_s"] >= 0
    away = ada.post("/mtproxy/files/fetch")
    assert away.status_code == 409 and telegram_files.store(fleet).read().secret == SECRET, "those of before stay"


def test_where_there_is_no_mtproxy_it_says_so(tmp_path):
    bare = Fleet(tmp_path / "bare", MemoryRuntime(), Builtin())
    ada = Program(create_app(bare), tokens.create_token(bare, CLI, "t", "admin", 0, "admin")[1])
    assert ada.get("/mtproxy").json == {"containers": [], "files_age_s": None}
    assert ada.post("/mtproxy/files/fetch").json["code"] == "engine.mtproxy_needs_docker"


def test_users_who_are_taken_over_where_there_is_no_mtproxy_are_kept_and_it_is_said_why_nobody_serves_them(tmp_path):
    bare = Fleet(tmp_path / "bare", MemoryRuntime(), by_name(Builtin(), Mtproxy()))
    ada = Program(create_app(bare), tokens.create_token(bare, CLI, "t", "admin", 0, "admin")[1])
    told = ada.post("/mtproxy/import", FILE, headers={"Idempotency-Key": "k"})
    assert len(told.json["added"]) == len(bare.users()) == 2
    assert [each["code"] for each in told.json["unserved"]] == ["engine.mtproxy_needs_docker"]
    assert ada.post("/mtproxy/import", FILE, headers={"Idempotency-Key": "k"}).json == told.json
