"""The speed limit that a program is told, and says it keeps."""

from __future__ import annotations

import time

from prometheus_client.parser import text_string_to_metric_families

from app.runtimes.base import RuntimeFailure, SpeedFile
from app.runtimes.process.folder import Folder, Record
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


def put(folder: Folder, record: Record, by: SpeedFile | None, wanted: int | None, timeout: float,
        patience: float) -> None:
    """Tell a program that runs its limit in bits per second, None for none, and wait until it says that it keeps it.
    timeout: seconds for one answer, patience: for the right one. Raises RuntimeFailure; to lift the limit of a program
    that knows none is not refused."""
    if not by or not in_force(record, by, timeout)[0]:
        if wanted:
            raise RuntimeFailure("runtime.speed_unknown", name=record.name, engine=record.engine)
        return
    try:
        folder.put(by.name, by.text.replace("{bits}", str(wanted or 0)))
    except OSError as error:
        raise RuntimeFailure("runtime.speed_unwritten", name=record.name, reason=str(error)) from error
    deadline = time.monotonic() + patience
    while in_force(record, by, timeout)[1] != wanted:
        if time.monotonic() > deadline:
            raise RuntimeFailure("runtime.speed_unsaid", name=record.name, wanted=wanted or 0, seconds=patience)
        time.sleep(0.05)
