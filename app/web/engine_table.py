"""The engines beside each other: what each can do, and what was measured of it."""

from __future__ import annotations

from collections.abc import Mapping

from app.engines.base import ENGINE, NOBODY, Engine
from app.engines.figures import MEASURED
from app.mtproto.secret import FAKETLS, PADDED, PLAIN
from app.web.language import gettext, ngettext, number

#: How the secret in a link begins, by its kind.
_BEGINS = {FAKETLS: "ee", PADDED: "dd", PLAIN: "plain"}


def compared(engines: Mapping[str, Engine]) -> list[list[str]]:
    """What the engines do and cost: a header, and a row for each fact, one cell an engine."""
    here = [(engine.capabilities, MEASURED[name]) for name, engine in engines.items() if name in MEASURED]
    yes, no = gettext("yes"), gettext("no")

    def mbits(amount: int) -> str:
        return gettext("%(amount)s Mbit/s", amount=number(f"{amount:,}"))

    rows = {
        gettext("Key exchange"): [figures.key_share for _, figures in here],
        gettext("One download"): [mbits(figures.download) for _, figures in here],
        gettext("One upload"): [mbits(figures.upload) for _, figures in here],
        **{ngettext("Memory, %(num)s user", "Memory, %(num)s users", count):
           [gettext("%(amount)s MB", amount=number(f"{figures.memory[count]:,}")) for _, figures in here]
           for count in (1, 50, 200)},
        gettext("Changing one user"): [gettext("restarts that user's proxy") if can.restarts else
                                       gettext("restarts nothing") for can, _ in here],
        gettext("A failure affects"): [gettext("all of its users") if can.shared else gettext("one user")
                                       for can, _ in here],
        gettext("Speed limit"): [yes if can.speed != NOBODY else no for can, _ in here],
        gettext("Addresses now"): [gettext("listed") if can.lists_addresses else gettext("counted") if
                                   can.devices == ENGINE else gettext("counted, with a limit") if can.devices else
                                   gettext("not known") for can, _ in here],
        gettext("Address limit"): [yes if can.devices != NOBODY else no for can, _ in here],
        gettext("Secrets"): [", ".join(_BEGINS[kind] for kind in sorted(can.secrets)) for can, _ in here],
    }
    return [["", *(name for name in engines if name in MEASURED)], *([title, *cells] for title, cells in rows.items())]
