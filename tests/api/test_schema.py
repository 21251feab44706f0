"""schemathesis asks for everything that the document says, in ways that nobody thought of: what comes back is always
something that the document says, and never a fault of ours."""

from __future__ import annotations

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as of_openapi

from app import create_app
from app.accounts.actor import CLI
from app.actions import notifications, tokens
from app.api.access import OPERATIONS
from app.api.operations import Operation
from app.engines.builtin import Builtin
from app.web.share.limit import Limit
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime

#: What asks sites elsewhere, or ends who asks.
LEFT_OUT = {"server_check_domains", "server_look", "people_remove_token", "mtproxy_fetch_files"}
CHECKS = [checks.not_a_server_error, of_openapi.status_code_conformance, of_openapi.content_type_conformance,
          of_openapi.response_schema_conformance, of_openapi.negative_data_rejection]
ASKED = [each for each in OPERATIONS if each.name not in LEFT_OUT]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    fleet = Fleet(tmp_path_factory.mktemp("panel") / "data", MemoryRuntime(), Builtin())
    fleet.set_settings({"server_domain": "proxy.example"})
    fleet.add_plan("Family")
    return fleet


@pytest.fixture(scope="module")
def panel(fleet: Fleet) -> Flask:
    panel = create_app(fleet)
    panel.extensions["api_limit"] = Limit(1_000_000)
    return panel


@pytest.fixture(scope="module")
def schema(fleet: Fleet, panel: Flask):
    text = tokens.create_token(fleet, CLI, "all", "admin", 0, "admin")[1]
    sent = {"Authorization": f"Bearer {text}", "Accept-Encoding": "identity"}
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", panel, headers=sent)
    schema.config.update(headers=sent)
    return schema


def ids(fleet: Fleet) -> dict[str, str]:
    """Most questions are about somebody who is there."""
    if not fleet.users():
        fleet.add_user("Alice")
    if not fleet.plans():
        fleet.add_plan("Family")
    if not fleet.config().notifications:
        notifications.add_channel(fleet, CLI, "webhook", {"name": "hook", "url": "http://127.0.0.1:9/", "secret": "k"})
    return {"user_id": fleet.users()[0].id, "plan_id": fleet.plans()[0].id, "job_id": "none", "engine": "builtin",
            "name": "none", "username": "nobody", "token_id": "none", "channel_id": fleet.config().notifications[0].id}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize("operation", ASKED, ids=lambda each: each.name)
def test_what_comes_back_is_what_the_document_says(fleet: Fleet, schema, operation: Operation, mode) -> None:
    if mode is GenerationMode.NEGATIVE and operation.body is None and not operation.query:
        return  # nothing could be wrong but the address

    @settings(max_examples=5, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(case=schema[operation.template][operation.method].as_strategy(generation_mode=mode))
    def ask(case) -> None:
        case.path_parameters = {name: ids(fleet)[name] for name in operation.in_path}
        case.call_and_validate(checks=CHECKS)

    ask()
