"""mtg's Prometheus metrics, which the built-in engine serves too, as counters."""

from __future__ import annotations

from collections import defaultdict

from prometheus_client.parser import text_string_to_metric_families

from app.engines.base import Counters
from app.ledger.refusals import Refused

#: Of numbers that decide nothing, larger ones are not worth telling apart.
_LARGEST = 2 ** 53


#: By which of a metric's labels its samples are told apart.
_LABELS = ("direction", "sni", "scope")


def read_counters(metrics: str) -> Counters:
    """Sum each of mtg's metrics (stats/init.go in its source) over its labels.

    A metric that is not there yet counts as zero, as mtg shows each with its first
    event. Raises ValueError for text that is no Prometheus exposition: half a reading
    must never pass for a small one. What only the built-in engine counts is None without its metrics.
    """
    total: dict[tuple[str, str], float] = defaultdict(float)
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            # The parser appends OpenMetrics' suffix to counters; mtg's names have none.
            name = sample.name.removesuffix("_total")
            total[name, next(filter(None, map(sample.labels.get, _LABELS)), "")] += sample.value

    def builtin(name: str, sni: str = "") -> int:
        return max(-_LARGEST, min(int(total["builtin_" + name, sni]), _LARGEST))

    def of(name: str, direction: str = "") -> int:
        return int(total["mtg_" + name, direction])

    refused = None
    if ("builtin_wrong_clock", "") in total:
        refused = Refused(
            wrong_clock=builtin("wrong_clock"),
            clock_behind=builtin("clock_behind_seconds"),
            no_sni=builtin("wrong_name", "missing"),
            other_sni=builtin("wrong_name", "other"),
        )

    return Counters(
        down=of("telegram_traffic", "to_client"),
        up=of("telegram_traffic", "from_client"),
        connections=of("telegram_connections"),
        clients=of("client_connections"),
        fronted=of("domain_fronting"),
        fronted_bytes=of("domain_fronting_traffic", "to_client")
        + of("domain_fronting_traffic", "from_client"),
        replays=of("replay_attacks"),
        refused=refused,
        bits_per_second=builtin("rate_limit_bits_per_second", "total") or None,
        addresses=builtin("unique_ips") if ("builtin_unique_ips", "") in total else None,
    )
