"""pytest plugin for CI (tests/run.sh loads it): a test that was skipped there has failed.

A skip means that something the test needs is missing; on a machine where
tests/run.sh installs everything that must not pass silently.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest


def _fail(report: Any) -> None:
    # An expected failure (xfail) is reported as a skip too, but it did run.
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"Skipped, which counts as a failure in CI: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    report = yield
    _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    report = yield
    _fail(report)
    return report
