from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from app.control.errors import Refused
from app.engines.builtin import Builtin
from app.mtproto.links import tg_link, tme_link
from app.mtproto.secret import Secret
from app.rules.brought import not_kept
from tests.support.fleet import Fleet
from tests.support.memory_runtime import Machine, MemoryRuntime

SECRET = Secret.generate("www.example.com")


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path, MemoryRuntime(Machine()), Builtin())


@pytest.mark.parametrize("text", [
    tg_link("old.example.com", 24430, SECRET), f" <{tme_link('old.example.com', 24430, SECRET)}> ", SECRET.hex.upper(),
    SECRET.base64url, quote(tg_link('old.example.com', 24430, SECRET), safe=''),
    tme_link('old.example.com', 24430, SECRET).removeprefix('https://')],
    ids=["tg", "t.me in brackets", "hex in capitals", "base64", "quoted", "t.me without https"])
def test_a_link_or_a_secret_is_taken_over_once(fleet: Fleet, text: str):
    anna = fleet.add_user("Anna", link=text)
    assert (anna.secret, anna.domain) == (SECRET.hex, "www.example.com")
    if "proxy" in text:
        assert anna.port == 24430 and [what.code for what in not_kept(text, anna.tg_link)] == ["user.link_server"]
    with pytest.raises(Refused, match="'Anna'"):
        fleet.add_user("Boris", link=text)
    assert [user.name for user in fleet.users()] == ["Anna"]


def test_a_port_that_is_taken_is_told(fleet: Fleet):
    text = tg_link("old.example.com", fleet.add_user("Anna").port, SECRET)
    boris = fleet.add_user("Boris", link=text)
    assert boris.secret == SECRET.hex and "user.link_port" in {what.code for what in not_kept(text, boris.tg_link)}


@pytest.mark.parametrize("text", ["tg://socks?server=a&port=1", "nonsense", "tg://proxy?port=1&server=a",
                                  f"tg://proxy?port=1&port=2&server=a&secret={SECRET.hex}"],
                         ids=["socks", "nonsense", "no secret", "two ports"])
def test_what_is_no_link_adds_nobody(fleet: Fleet, text: str):
    with pytest.raises(Refused):
        fleet.add_user("Anna", link=text)
    assert not fleet.users()
