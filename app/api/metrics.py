"""/metrics for Prometheus: the whole, and for each user what was relayed. Read when it is asked for, kept nowhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator

from flask import Response, request
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from app.control import roster, snapshot, views
from app.control.records import Row, Status
from app.control.system import System
from app.lib.version import version

#: Users of whom there are series; of more, there are the sums alone.
MOST_USERS = 10_000
#: Every state that a proxy can be in, so that those which nobody is in are 0 and not away.
STATES = ("running", "starting", "stopped", "disabled", "expired", "blocked", "failed", "unknown")


def answer(system: System, whole: bool = True) -> Response:
    """In the format that the asker wants. whole: with series of each user."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Panel(system, whole))
    encode, media = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(registry), content_type=media)


class _Panel(Collector):
    def __init__(self, system: System, whole: bool) -> None:
        self._system, self._whole = system, whole

    def collect(self) -> Iterable[Metric]:
        """Everything, as it is now."""
        system = self._system
        status = views.status(system, whole=False, secrets=False)
        yield InfoMetricFamily("mtproto_panel", "The panel.", {
            "version": version(), "runtime": status.runtime, "engine": status.engine})
        yield from _sums(status)
        yield from _certificates(system)
        if system.sampled_at:
            yield GaugeMetricFamily("mtproto_sample_age_seconds",
                                    "Since the counters of the proxies were last read by this process.",
                                    time.monotonic() - system.sampled_at)
        if self._whole and len(status.rows) <= MOST_USERS:
            # The names are those of today: a user who is renamed is another series with the same id.
            sight = snapshot.take(system)
            yield from _users(roster.rows(sight))


def _sums(status: Status) -> Iterator[Metric]:
    states = GaugeMetricFamily("mtproto_users", "Users by the state of their proxy.", labels=["state"])
    counted = Counter(row.state for row in status.rows)
    for state in (*STATES, *sorted(counted.keys() - set(STATES))):
        states.add_metric([state], counted[state])
    yield states
    slowed = sum(row.throttled is not None for row in status.rows)
    over = sum(row.over for row in status.rows)
    yield GaugeMetricFamily("mtproto_users_slowed", "Users whose speed is limited now.", slowed)
    yield GaugeMetricFamily("mtproto_users_over_limit", "Users over their traffic limit.", over)
    yield GaugeMetricFamily("mtproto_proxies_running", "Users whose proxy runs.", status.running)
    yield GaugeMetricFamily("mtproto_proxies_expected", "Users whose proxy should run.", status.total)
    yield GaugeMetricFamily("mtproto_proxies_outdated", "Proxies that run an old image.", status.outdated)
    yield GaugeMetricFamily("mtproto_connections", "Connections of all users.", status.connections)
    total = CounterMetricFamily("mtproto_traffic_bytes", "Bytes relayed of all users there are.", labels=["direction"])
    total.add_metric(["down"], status.bytes_down)
    total.add_metric(["up"], status.bytes_up)
    yield total
    yield CounterMetricFamily("mtproto_probes", "Connections that were passed to the cover site.", status.probes)
    yield GaugeMetricFamily("mtproto_problems", "What the panel says that somebody should look at.",
                            len(status.problems))


def _certificates(system: System) -> Iterator[Metric]:
    ends = GaugeMetricFamily("mtproto_certificate_expiry_timestamp_seconds", "When a certificate ends, Unix time.",
                             labels=["name"])
    for name, row in system.ledger.certificates.all().items():
        if row.expires_at:
            ends.add_metric([name], row.expires_at)
    yield ends


def _users(rows: list[Row]) -> Iterator[Metric]:
    labels = ["id", "name"]
    moved = CounterMetricFamily("mtproto_user_traffic_bytes", "Bytes relayed of one user.",
                                labels=[*labels, "direction"])
    connections = GaugeMetricFamily("mtproto_user_connections", "Connections of one user.", labels=labels)
    share = GaugeMetricFamily("mtproto_user_limit_used_ratio", "Of the traffic limit; users with one alone.",
                              labels=labels)
    ends = GaugeMetricFamily("mtproto_user_expiry_timestamp_seconds", "When access ends; users with a date alone.",
                             labels=labels)
    for row in rows:
        who = [row.id, row.name]
        moved.add_metric([*who, "down"], row.down)
        moved.add_metric([*who, "up"], row.up)
        connections.add_metric(who, row.connections)
        if row.limit_gb:
            share.add_metric(who, row.share / 100)
        if row.expires_at:
            ends.add_metric(who, row.expires_at.timestamp())
    yield from (moved, connections, share, ends)
