"""Pytest plugin: fail for a test skipped because a service is missing, where all are required."""

from __future__ import annotations

import os

import pytest

NO_SERVICE = "no service: "
"""Start of the reason of each such skip."""


def pytest_sessionfinish(session: pytest.Session) -> None:
    """NYC_TAXI_TEST_SERVICES: `all`, or a word of the reasons that fail, such as `docker`."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    required = os.environ.get("NYC_TAXI_TEST_SERVICES")
    if not required or reporter is None:
        return
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2]
        if NO_SERVICE in reason and (required == "all" or required.lower() in reason.lower()):
            reporter.write_line(f"skipped, but must run: {report.nodeid}", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
