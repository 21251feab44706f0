"""Switching port 443 on and off, and what happens when nginx does not go along."""

from __future__ import annotations

from contextlib import ExitStack
from urllib.parse import parse_qs, urlsplit

import pytest

from app.control.errors import Refused
from tests.support.lab443 import Stage, troubles
from tests.support.stream import BackgroundStream, passes

BROKEN = "server {\n    listen 80;\n    server_name a.example;\n    frobnicate on;\n}\n"


def port(link: str) -> int:
    return int(parse_qs(urlsplit(link).query)["port"][0])


def people(stage: Stage) -> list:
    return [stage.fleet.add_user(name) for name in ("Alice", "Bob")]


def break_nginx(stage: Stage) -> None:
    (stage.lab.folder / "custom.d" / "mine.conf").write_text(BROKEN)


def containers(stage: Stage) -> list[tuple[str, str]]:
    """Every proxy, and since when it runs: another start is another one."""
    return [(o.name, o.run_id) for o in stage.fleet.runtime.observe()]


def test_switching_off_and_on_changes_no_secret_and_links_work_after_each_switch(stage):
    before = people(stage)
    for on in (False, True):
        stage.fleet.set_settings({"port_443_mode": on})
        now = stage.fleet.users()
        assert [user.secret for user in now] == [user.secret for user in before]
        assert [port(user.tg_link) for user in now] == [stage.public if on else user.port for user in now]
        assert [user.link_port for user in now] == [port(user.tg_link) for user in now]
        assert troubles(now) == []
        # The links of the other mode lead nowhere.
        other = {user.tg_link.replace(f"port={port(user.tg_link)}&", f"port={user.port if on else stage.public}&")
                 for user in now}
        assert not any(passes(link) for link in other)


@pytest.mark.parametrize("trouble", ["refuses", "is gone"])
def test_the_switch_is_refused_with_the_reason_when_nginx(stage, trouble):
    stage.fleet.set_settings({"port_443_mode": False})
    users = people(stage)
    before, running = stage.fleet.settings(), containers(stage)
    with ExitStack() as streams:
        live = [streams.enter_context(BackgroundStream(user.tg_link, piece=20_000)) for user in users]
        if trouble == "refuses":
            break_nginx(stage)
        else:
            stage.lab.stop()
        with pytest.raises(Refused) as refused:
            stage.fleet.set_settings({"port_443_mode": True, "unknown_sni": "close"})
        said = ("custom.d/mine.conf, line 4", "frobnicate") if trouble == "refuses" else ("docker compose up",)
        assert all(part in str(refused.value) for part in (*said, "were not changed")), refused.value
        assert refused.value.field == "port_443_mode"
        assert stage.fleet.settings() == before and containers(stage) == running
        assert [user.tg_link for user in stage.fleet.users()] == [user.tg_link for user in users]
        assert troubles(users) == []
        assert [stream.finish().broken for stream in live] == ["", ""]


def test_what_nginx_refuses_leaves_the_links_on_443_as_they_are(stage):
    users = people(stage)
    version, running, before = stage.version(), containers(stage), stage.fleet.settings()
    with ExitStack() as streams:
        live = [streams.enter_context(BackgroundStream(user.tg_link, piece=20_000)) for user in users]
        break_nginx(stage)
        for changes in ({"unknown_sni": "close"}, {"port_443_mode": False}):
            with pytest.raises(Refused, match="custom.d/mine.conf, line 4"):
                stage.fleet.set_settings(changes)
        assert stage.fleet.settings() == before
        assert (stage.version(), containers(stage)) == (version, running)
        assert any("frobnicate" in problem for problem in stage.fleet.status().problems)
        assert troubles(users) == []
        assert [stream.finish().broken for stream in live] == ["", ""]


def test_without_nginx_switching_off_is_the_way_out(stage):
    users = people(stage)
    stage.lab.stop()
    assert not any(passes(user.tg_link) for user in users)
    stage.fleet.set_settings({"port_443_mode": False})
    now = stage.fleet.users()
    assert [user.secret for user in now] == [user.secret for user in users]
    assert [port(user.tg_link) for user in now] == [user.port for user in now]
    assert troubles(now) == []
