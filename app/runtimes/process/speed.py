"""The speed limit that a program says it keeps."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from app.runtimes.base import RuntimeFailure, SpeedFile
from app.runtimes.process.folder import Record
from app.runtimes.scrape import ScrapeFailure, scrape


def in_force(record: Record, by: SpeedFile | None, timeout: float) -> tuple[bool, int | None]:
    """(whether the engine can limit its speed, the limit it says it keeps, bits per second). timeout: seconds. Raises
    RuntimeFailure."""
    if not by:
        return False, None
    try:
        text = scrape(record.metrics, record.metrics_path, timeout)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == by.metric and sample.labels.get(by.label) == by.value:
                    return True, int(sample.value) or None
    except (ScrapeFailure, ValueError) as error:
        raise RuntimeFailure("runtime.speed_untold", name=record.name, reason=error) from error
    return False, None
