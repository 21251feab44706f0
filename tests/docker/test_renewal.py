"""An image that was rebuilt under its name: noticed by its id, and each proxy replaced in its turn."""

from __future__ import annotations

import io

import pytest
from docker import APIClient

from app.accounts.actor import CLI
from app.actions.renewal import outdated, renew
from tests.docker.conftest import Lab
from tests.support.problems import codes
from tests.support.stream import passes

pytestmark = pytest.mark.timeout(300)


def rebuild(hands: APIClient, name: str, image: str, line: str) -> None:
    """The image gets this name, with one more line in its Dockerfile."""
    dockerfile = f"FROM {image}\n{line}\n".encode()
    for said in hands.build(fileobj=io.BytesIO(dockerfile), tag=name, decode=True, rm=True):
        assert "error" not in said, said


def test_a_rebuilt_image_is_noticed_and_its_proxies_are_replaced_one_by_one(
        private_image: str, lab: Lab, hands: APIClient, image: str) -> None:
    lab.fleet.set_settings({"proxy_image": private_image})
    links = {name: lab.fleet.add_user(name).tg_link for name in ("Alice", "Bob")}
    before = {o.name: o.run_id for o in lab.runtime.observe()}
    assert outdated(lab.fleet) == [] and all(map(passes, links.values()))

    rebuild(hands, private_image, image, "LABEL made=again")
    lab.runtime.images_good_for = 0.0
    lab.monitor.tick()
    assert {o.name: o.run_id for o in lab.runtime.observe()} == before, "nobody's connection ends by itself"
    assert lab.fleet.status().outdated == 2

    for number, outcome in enumerate(renew(lab.fleet, CLI), start=1):
        assert outcome.ok, outcome.reason
        assert lab.fleet.status().outdated == 2 - number
    assert all(map(passes, links.values())) and lab.fleet.status().outdated == 0


def test_an_image_that_does_not_start_costs_one_user_and_no_more(
        private_image: str, lab: Lab, hands: APIClient, image: str) -> None:
    lab.fleet.set_settings({"proxy_image": private_image})
    links = {name: lab.fleet.add_user(name).tg_link for name in ("Alice", "Bob")}
    rebuild(hands, private_image, image, 'ENTRYPOINT ["/nothing"]')
    lab.runtime.images_good_for = 0.0
    done = list(renew(lab.fleet, CLI))
    assert [outcome.ok for outcome in done] == [False] and "docker.no_program" in codes(done[0].reason)
    assert [passes(link) for link in links.values()] == [False, True]
    hands.tag(image, *private_image.rsplit(":", 1))
    assert lab.heals("Alice")
