"""/metrics: what Prometheus reads, and what the dashboard of Grafana asks for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic

from app.ledger.traffic import Total

DASHBOARD = Path(__file__).parents[2] / "docs/grafana/dashboard.json"
#: Words of PromQL that are no metrics.
_FUNCTIONS = {"sum", "by", "rate", "topk", "time", "max", "min", "increase", "without", "clamp_min"}


def families(program, **headers: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    answer = program.get("//metrics", headers=headers)
    assert answer.status_code == 200
    parse = openmetrics if "openmetrics" in answer.content_type else classic
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in parse(answer.get_data(as_text=True)):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0", "text/plain;version=0.0.4"])
def test_prometheus_reads_it_in_both_formats(reader, fleet, alice, accept):
    fleet.add_user('O\'Brien <b>"&\\ \n علی‌رضا'.replace("\n", ""), expires="2090-01-31", limit_gb="10")
    fleet.disable("Alice")
    found = families(reader, Accept=accept)
    assert found["mtproto_users"][(("state", "disabled"),)] == 1 and found["mtproto_users"][(("state", "failed"),)] == 0
    names = {dict(labels)["name"] for labels in found["mtproto_user_connections"]}
    assert names == {user.name for user in fleet.users()}
    assert len(found["mtproto_user_expiry_timestamp_seconds"]) == 1 == len(found["mtproto_user_limit_used_ratio"])
    assert found["mtproto_proxies_running"][()] == found["mtproto_proxies_expected"][()] == 1


def test_what_was_relayed_is_told_by_direction(reader, fleet, alice, monkeypatch):
    monkeypatch.setattr(fleet.ledger.traffic, "totals", lambda: {alice: Total(down=7_000_000_000, up=5)})
    found = families(reader)
    assert found["mtproto_user_traffic_bytes_total"][
        (("direction", "down"), ("id", alice), ("name", "Alice"))] == 7_000_000_000
    assert found["mtproto_traffic_bytes_total"][(("direction", "up"),)] == 5


def test_series_of_users_are_bounded_and_can_be_left_out(reader, fleet, monkeypatch):
    everybody = families(reader)
    assert "mtproto_user_connections" in everybody
    alone = set(families(reader)) - families_of(reader.get("//metrics?users=0").get_data(as_text=True))
    assert alone == {"mtproto_user_connections", "mtproto_user_traffic_bytes_total"}
    monkeypatch.setattr("app.api.metrics.MOST_USERS", 0)
    assert "mtproto_user_connections" not in families(reader)


def families_of(text: str) -> set[str]:
    return {sample.name for family in classic(text) for sample in family.samples}


def test_it_asks_for_a_token(program):
    assert program("").get("//metrics").status_code == 401
    assert program("read", "Viktor").get("//metrics").status_code == 200


def test_the_queries_of_the_dashboard_name_metrics_and_labels_that_exist(reader, fleet):
    fleet.add_user("Bob", expires="2090-01-31", limit_gb="10")
    with fleet.ledger.database.transaction() as db:
        db.execute("INSERT INTO certificates (name, domains, expires_at) VALUES ('a', 'a.example', 2000000000)")
    fleet.sampled_at = 1.0
    found = families(reader)
    queries = [target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]]
    assert len(queries) > 8
    asked = set()
    for query in queries:
        bare = re.sub(r'"[^"]*"', "", query)
        for metric in re.findall(r"[a-z][a-z_]*", re.sub(r"\{[^}]*\}|by ?\([^)]*\)|\[[^]]*\]", "", bare)):
            if metric not in _FUNCTIONS:
                assert metric in found, (metric, query)
                asked.add(metric)
        for labels in re.findall(r"by ?\(([^)]*)\)", query):
            known = {name for metric in asked for series in found[metric] for name, _ in series}
            assert {label.strip() for label in labels.split(",")} <= known, query
    assert {name for name in found if name.startswith("mtproto_")} == asked, "whatever is told is shown"


def test_a_name_is_a_label_and_its_change_another_series_of_the_same_id(reader, fleet, alice):
    fleet.update_user(alice, {"name": "Alicia"})
    series = [dict(labels) for labels in families(reader)["mtproto_user_connections"]]
    assert series == [{"id": alice, "name": "Alicia"}]
