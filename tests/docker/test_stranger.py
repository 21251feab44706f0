"""Whatever happens to others, a user's connection is not touched."""

from __future__ import annotations

import random

from tests.support.stream import BackgroundStream


def test_a_stranger_streams_on_while_fifty_changes_are_made_to_others(lab):
    fleet, dice = lab.fleet, random.Random(4)
    alice = fleet.add_user("Alice")
    name = f"mtg-proxy-{alice.port}"
    before = lab.hands.inspect_container(name)
    others: list[str] = []
    domains = ("www.example.com", "www.example.org", "www.example.net")
    with BackgroundStream(alice.tg_link, piece=100_000, pause=0.05) as stream:
        for number in range(50):
            verb = dice.choice(("add", "add", "edit", "rotate", "disable", "enable", "delete", "alice"))
            if verb == "alice":  # what is said about her restarts nothing either
                fleet.update_user(alice.id, dice.choice((
                    {"name": f"Alice {number}"}, {"note": f"note {number}"}, {"limit_gb": "5"},
                    {"speed_mbps": "7"}, {"expires": "2099-01-01"})))
            elif (verb == "add" and len(others) < 6) or not others:
                others.append(fleet.add_user(f"user {number}").id)
            elif verb == "edit":
                fleet.update_user(dice.choice(others), {"domain": dice.choice(domains)})
            elif verb == "rotate":
                fleet.rotate(dice.choice(others))
            elif verb == "disable":
                fleet.disable(dice.choice(others))
            elif verb == "enable":
                fleet.enable(dice.choice(others))
            else:
                fleet.remove(others.pop(dice.randrange(len(others))))
            assert not stream.report.broken, f"after {number} changes, the last: {verb}"
        report = stream.finish()
    assert not report.broken and report.rounds > 10 and report.down > 1_000_000
    after = lab.hands.inspect_container(name)
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
    assert [v.reason for v in fleet.users()] == [""] * len(fleet.users())
    assert lab.fleet.reconcile() == []


def test_a_missing_image_costs_nobody_a_connection_and_is_told_with_the_ways_out(lab):
    alice = lab.fleet.add_user("Alice")
    with BackgroundStream(alice.tg_link) as stream:
        lab.fleet.set_settings({"proxy_image": "127.0.0.1:1/no-such-image:1"})
        view = lab.fleet.user(alice.id)
        assert not stream.finish().broken
    assert view.state == "running"
    for part in ("127.0.0.1:1/no-such-image:1", "mirror", "docker load", "MTPROTO_RUNTIME=process"):
        assert part in view.reason
