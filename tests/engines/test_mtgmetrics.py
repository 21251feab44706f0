"""mtg's metrics as counters. The sample is what mtg 2.2.8 served after some sessions and probes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engines.base import Counters
from app.engines.mtg.metrics import read_counters

SAMPLE = """\
# HELP mtg_client_connections A number of actively processing client connections.
# TYPE mtg_client_connections gauge
mtg_client_connections{ip_family="ipv4"} 3
mtg_client_connections{ip_family="ipv6"} 2
# HELP mtg_concurrency_limited A number of sessions that were rejected by concurrency limiter.
# TYPE mtg_concurrency_limited counter
mtg_concurrency_limited 9
# HELP mtg_domain_fronting A number of routings to front domain.
# TYPE mtg_domain_fronting counter
mtg_domain_fronting 4
# HELP mtg_domain_fronting_connections A number of connections which talk to front domain.
# TYPE mtg_domain_fronting_connections gauge
mtg_domain_fronting_connections{ip_family="ipv4"} 1
# HELP mtg_domain_fronting_traffic Traffic which is generated talking with front domain.
# TYPE mtg_domain_fronting_traffic counter
mtg_domain_fronting_traffic{direction="from_client"} 1700
mtg_domain_fronting_traffic{direction="to_client"} 5000
# HELP mtg_iplist_size A size of the ip list (blocklist or allowlist)
# TYPE mtg_iplist_size gauge
mtg_iplist_size{ip_list="allowlist"} 2
# HELP mtg_replay_attacks A number of detected replay attacks.
# TYPE mtg_replay_attacks counter
mtg_replay_attacks 1
# HELP mtg_telegram_connections A number of connections to Telegram servers.
# TYPE mtg_telegram_connections gauge
mtg_telegram_connections{dc="2",telegram_ip="149.154.167.51"} 2
mtg_telegram_connections{dc="4",telegram_ip="149.154.167.91"} 1
# HELP mtg_telegram_traffic Traffic which is generated talking with Telegram servers.
# TYPE mtg_telegram_traffic counter
mtg_telegram_traffic{dc="2",direction="from_client",telegram_ip="149.154.167.51"} 120
mtg_telegram_traffic{dc="2",direction="to_client",telegram_ip="149.154.167.51"} 3.1457281e+07
mtg_telegram_traffic{dc="4",direction="from_client",telegram_ip="149.154.167.91"} 30
mtg_telegram_traffic{dc="4",direction="to_client",telegram_ip="149.154.167.91"} 19
# HELP mtg_of_the_future A metric that nobody knows yet.
# TYPE mtg_of_the_future histogram
mtg_of_the_future_bucket{le="+Inf"} 3
"""


def test_every_metric_is_summed_over_its_labels():
    assert read_counters(SAMPLE) == Counters(
        down=31457300, up=150, connections=3, clients=5, fronted=4, fronted_bytes=6700, replays=1)


def test_metrics_that_are_not_there_yet_are_zero():
    assert read_counters("") == read_counters("other_metric 5\n") == Counters()


def test_the_names_of_openmetrics_are_understood_too():
    text = '# TYPE mtg_telegram_traffic counter\nmtg_telegram_traffic_total{direction="to_client"} 7\n'
    assert read_counters(text) == read_counters(text.replace("# TYPE mtg_telegram_traffic counter\n", ""))
    assert read_counters(text).down == 7


@pytest.mark.parametrize("text", ["<html>\n", "mtg_replay_attacks\n", "mtg_replay_attacks many\n",
                                  'mtg_telegram_traffic{dc="2",dir', "mtg_replay_attacks NaN\n"])
def test_text_that_is_no_reading_is_an_error_and_not_a_zero(text):
    with pytest.raises(ValueError):
        read_counters(text)


@given(st.lists(st.tuples(st.sampled_from(["to_client", "from_client"]), st.integers(0, 2**40)), max_size=20))
def test_traffic_adds_up_whatever_dcs_it_went_to(parts):
    lines = [f'mtg_telegram_traffic{{dc="{i}",direction="{way}",telegram_ip="::{i}"}} {count}'
             for i, (way, count) in enumerate(parts)]
    counters = read_counters("# TYPE mtg_telegram_traffic counter\n" + "".join(f"{line}\n" for line in lines))
    assert counters.down == sum(count for way, count in parts if way == "to_client")
    assert counters.up == sum(count for way, count in parts if way == "from_client")
