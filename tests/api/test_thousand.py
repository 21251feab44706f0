"""A thousand users with odd names: lists, links and /metrics are whole, and hold nothing that they should not."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic

from app import create_app
from app.accounts.actor import CLI
from app.actions import tokens
from app.control.system import System
from tests.api.program import Program
from tests.bench.pages import NAME, installation

COUNT = 1000


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> System:
    return installation(tmp_path_factory.mktemp("thousand") / "data", COUNT)


@pytest.fixture(scope="module")
def programs(system: System) -> dict[str, Program]:
    """One with a token for looking, one for users."""
    panel = create_app(system)
    panel.testing = False
    return {scope: Program(panel, tokens.create_token(system, CLI, scope, scope, 0, NAME)[1])
            for scope in ("read", "users")}


def secrets_of(system: System) -> set[str]:
    config = system.declaration.last_good()
    return {config.secret_key, config.admin_password_hash} | {
        each for user in config.users for each in (user.secret, user.secret[2:34], user.share_token) if each}


def test_a_list_is_read_whole_page_by_page_and_holds_no_secret(programs, system):
    found: list[str] = []
    for page in range(1, 6):
        answer = programs["read"].get(f"/users?size=200&sort=name&page={page}")
        found += [each["id"] for each in answer.json["users"]]
        text = answer.get_data(as_text=True)
        assert not [secret for secret in secrets_of(system) if secret in text]
        assert len(text) < 600_000, "3 kB a user"
    assert Counter(found) == Counter(user.id for user in system.declaration.last_good().users)
    assert programs["read"].get("/users?size=200&page=999999").json["page"] == 5, "one after the last is the last"


def test_links_of_all_are_read_in_five_pages(programs, system):
    links = [each for page in range(1, 6) for each in programs["users"].get(f"/links?size=200&page={page}").json]
    config = system.declaration.last_good()
    assert {each["id"] for each in links} == {user.id for user in config.users} and len(links) == COUNT
    assert all(each["tme_link"].startswith("https://t.me/proxy?server=proxy.example&") for each in links)


@pytest.mark.parametrize(("accept", "parse"), [("text/plain;version=0.0.4", classic),
                                               ("application/openmetrics-text;version=1.0.0", openmetrics)])
def test_prometheus_reads_a_thousand_users_and_finds_no_secret(programs, system, accept, parse):
    answer = programs["read"].get("//metrics", headers={"Accept": accept})
    text = answer.get_data(as_text=True)
    families = {family.name: family for family in parse(text)}
    names = {sample.labels["id"]: sample.labels["name"] for sample in families["mtproto_user_connections"].samples}
    assert names == {user.id: user.name for user in system.declaration.last_good().users}
    series = Counter(json.dumps([sample.name, sample.labels], sort_keys=True)
                     for family in families.values() for sample in family.samples)
    assert set(series.values()) == {1}, "a series that is there twice fails the whole scrape"
    assert not [secret for secret in secrets_of(system) if secret in text]


def test_a_token_for_looking_and_a_viewers_see_the_same_numbers_and_names_no_notes_and_no_addresses(programs, system):
    text = programs["read"].get("//metrics").get_data(as_text=True)
    notes = {user.note for user in system.declaration.last_good().users if len(user.note) > 8}
    assert not [note for note in notes if note in text]
    labels = {name for family in classic(text) for sample in family.samples for name in sample.labels}
    assert labels <= {"id", "name", "direction", "state", "version", "runtime", "engine"}
