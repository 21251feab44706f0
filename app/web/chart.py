"""A chart of traffic in words and shapes: the picture without script and the one of chart.js are made of this."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from babel.dates import format_datetime
from flask_babel import get_locale, gettext, lazy_gettext

from app.control.series import Series
from app.lib.zone import server_zone
from app.web.formats import size

#: What the buttons say, and what the shape behind is called.
PERIODS = {
    "hour": (lazy_gettext("Hour"), lazy_gettext("the hour before")),
    "day": (lazy_gettext("24 hours"), lazy_gettext("the day before")),
    "month": (lazy_gettext("30 days"), lazy_gettext("the 30 days before")),
    "year": (lazy_gettext("12 months"), lazy_gettext("the year before")),
}

#: How the time of a part is written below the chart, and in full (CLDR date patterns); a clock's names its zone.
_PATTERNS = {"hour": ("HH:mm", "d MMM, HH:mm"), "day": ("HH:mm", "d MMM, HH:mm"),
             "month": ("d MMM", "EEEE, d MMM y"), "year": ("LLL", "LLLL y")}

#: The picture without script, in its own units.
WIDTH, HEIGHT = 720, 180


@dataclass(frozen=True)
class Bar:
    """One part in the picture without script, in its units; heights from the bottom."""

    x: float
    width: float
    down: float
    up: float
    before: float


@dataclass(frozen=True)
class Chart:
    """label, moments: of each part, short and in full. texts: what each part says: downloaded, uploaded, in all, in the
    period before ("" if nothing is kept of it). ticks: bytes, and how they are written, from the bottom. names: of the
    period, and of the one before. summary: all of it in a sentence."""

    series: Series
    labels: list[str]
    moments: list[str]
    texts: list[tuple[str, str, str, str]]
    ticks: list[tuple[float, str]]
    names: tuple[str, str]
    summary: str

    def to_json(self) -> dict[str, object]:
        """What chart.js draws."""
        return {**self.series.to_json(), "labels": self.labels, "moments": self.moments, "texts": self.texts,
                "ticks": self.ticks, "before_name": self.names[1], "summary": self.summary}

    def bars(self) -> list[Bar]:
        count, top = len(self.labels), self.ticks[-1][0]
        before = self.series.before or [0] * count
        return [Bar(round(WIDTH / count * index, 2), round(WIDTH / count, 2),
                    *(round(HEIGHT * each / top, 1) for each in (down, up, earlier)))
                for index, (down, up, earlier) in enumerate(zip(self.series.down, self.series.up, before))]


def spark(amounts: list[int]) -> str:
    """Small bars as the path of an SVG, 9 units wide each and at most 16 high; what is not nothing is seen."""
    most = max(amounts)
    return "".join(f"M{9 * index + 4} 16v-{max(1, round(16 * each / most))}"
                   for index, each in enumerate(amounts) if each)


def chart(series: Series) -> Chart:
    """In the language of the request, with times of the server's clock."""
    zone, (short, full) = server_zone(), _PATTERNS[series.period]
    times = [datetime.fromtimestamp(at, zone) for at in series.at]
    before = series.before
    texts = [(size(down), size(up), size(down + up), size(before[index]) if before else "")
             for index, (down, up) in enumerate(zip(series.down, series.up))]
    highest = max(down + up for down, up in zip(series.down, series.up))
    name, earlier = (str(each) for each in PERIODS[series.period])
    return Chart(series, [_written(at, short) for at in times], [_in_full(at, full) for at in times], texts,
                 ticks(max(highest, *(before or [0]))), (name, earlier), _summary(series, name, earlier))


def ticks(highest: int) -> list[tuple[float, str]]:
    """Bytes that are written at the side of a chart, from 0 to the first that is no less than `highest`."""
    unit = 1024
    while highest >= 999.5 * unit:
        unit *= 1024
    steps = (unit * times * 10 ** power for power in (-2, -1, 0, 1, 2) for times in (1, 2, 5))
    step = next((each for each in steps if each * 4 >= highest), unit * 250.0)
    count = max(1, -(-highest // step))
    return [(step * index, size(step * index)) for index in range(int(count) + 1)]


def _written(at: datetime, pattern: str) -> str:
    return str(format_datetime(at, pattern, locale=get_locale() or "en"))


def _in_full(at: datetime, pattern: str) -> str:
    return _written(at, pattern) + (f" {at:%Z}" if "HH" in pattern else "")


def _summary(series: Series, name: str, earlier: str) -> str:
    down, up = sum(series.down), sum(series.up)
    told = gettext("%(period)s: %(total)s in all, %(down)s downloaded and %(up)s uploaded.", period=name,
                   total=size(down + up), down=size(down), up=size(up))
    if series.before:
        told += " " + gettext("In %(period)s: %(total)s.", period=earlier, total=size(sum(series.before)))
    return " ".join((told, gettext("Some of it is estimated."))) if series.estimated else str(told)
