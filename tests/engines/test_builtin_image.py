"""The built-in engine in containers of the panel's image: what is live, what restarts, and what it can't be without."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from app.config.model import Config, User
from app.control.engine_limits import user_notes
from app.engines.base import NO_INGRESS, EngineRefusal, by_name
from app.engines.builtin import LIMITS, Builtin, BuiltinImage
from app.engines.mtg.engine import Mtg, MtgImage
from app.engines.mtg.metrics import read_counters
from app.rules.limits import max_unique_ips
from app.rules.links import UserLink, links
from app.runtimes.base import Place, Workload

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
ANNA = User(id="a1b2c3d4", name="Anna", port=2443, secret="ee" + "11" * 16 + b"www.example.com".hex())
PLACE = Place("0.0.0.0:3128", "0.0.0.0:3129", ":2443")


def link(**changes: int) -> UserLink:
    (made,) = links(ANNA, Config(), NOW)
    return replace(made, **changes)


def workload(engine: Builtin, one: UserLink, **settings: object) -> Workload:
    (made,) = engine.workloads([one], Config(**settings), lambda port: PLACE, lambda domain: NO_INGRESS)
    return made


def test_in_a_container_all_limits_are_live_and_restart_nothing() -> None:
    engine = BuiltinImage("mtproto-builtin:1")
    plain, limited = workload(engine, link()), workload(engine, link(bits_per_second=8000, max_unique_ips=2))
    assert limited.live_files == {LIMITS: "total-bits-per-second = 8000\nmax-unique-ips = 2\n"}
    assert plain.spec == limited.spec and plain.live != limited.live
    assert not plain.shared and plain.settled_links == (link().id,)
    assert (plain.image, plain.memory_mb) == ("mtproto-builtin:1", 256)


def test_as_a_process_a_limit_on_addresses_is_in_its_configuration_and_without_one_nothing_is_new() -> None:
    plain, limited = workload(Builtin(), link()), workload(Builtin(), link(max_unique_ips=2))
    assert "max-unique-ips" not in plain.files["config.toml"] and not plain.live_files
    assert limited.files["config.toml"].startswith("max-unique-ips = 2\n") and limited.spec != plain.spec


def test_without_the_panels_image_it_serves_nobody_in_containers_and_says_why() -> None:
    engine = BuiltinImage("")
    with pytest.raises(EngineRefusal, match="MTPROTO_PANEL_IMAGE"):
        workload(engine, link())
    assert engine.workloads([], Config(), lambda port: PLACE, lambda domain: NO_INGRESS) == []


def test_its_own_limits_and_addresses_are_read_and_mtg_tells_none() -> None:
    told = read_counters('builtin_rate_limit_bits_per_second{scope="connection"} 5\n'
                         'builtin_rate_limit_bits_per_second{scope="total"} 8000\nbuiltin_unique_ips 3\n')
    assert (told.bits_per_second, told.addresses) == (8000, 3)
    assert read_counters("builtin_unique_ips 0\n").addresses == 0
    told = read_counters('mtg_client_connections{ip_family="ipv4"} 1\n')
    assert (told.bits_per_second, told.addresses) == (None, None)


@pytest.mark.parametrize(("own", "common", "applies"), [(0, 0, 0), (0, 3, 3), (2, 3, 2), (None, 3, 0), (2, 0, 2)])
def test_a_user_has_a_limit_on_addresses_of_their_own_or_the_common_one_or_none(
        own: int | None, common: int, applies: int) -> None:
    user = ANNA.model_copy(update={"max_unique_ips": own})
    assert max_unique_ips(user, Config(max_unique_ips=common)) == applies


def test_who_has_a_limit_on_addresses_is_told_if_their_engine_has_none() -> None:
    limited = ANNA.model_copy(update={"max_unique_ips": 2})
    both = by_name(Mtg("/mtg"), BuiltinImage("x"))
    (note,) = user_notes(limited, Config(), both)
    assert (note.code, note.params["engine"]) == ("engine.no_address_limit", "mtg")
    assert user_notes(limited, Config(engine="builtin"), both) == user_notes(ANNA, Config(), both) == []
    assert user_notes(limited, Config(), by_name(MtgImage())) == [], "the runtime limits them"
    behind = Config(port_443_mode=True)
    (note,) = user_notes(limited, behind, both)
    assert note.code == "engine.no_address_limit_443", "nginx has not said that it does"
    assert user_notes(limited, behind, both, limited=True) == user_notes(ANNA, behind, both) == []
