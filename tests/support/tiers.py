"""Pytest plugin: tests that `make test` leaves to another command, and tests of one worker."""

from __future__ import annotations

import gc
from collections import defaultdict
from typing import Any

from tests.support.environment import settings_of

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.processes import ROOT

MARKS = [
    "slow: run by `make test-slow` only",
    "slow_on(*ids): slow with these parameters",
    "cluster: needs Spark or Hadoop; run by `make test-cluster` only",
    "few(n): slow but for n of its cases on each lake and warehouse",
]
DESTINATIONS = (
    "local", "gcs", "s3", "hdfs", "duckdb", "postgres", "bigquery", "spark", "S3", "Gcs",
)  # fmt: skip
CLUSTER = ("hdfs", "spark")
"""Destinations whose cases need a cluster."""
ONE_WORKER = {
    "bigquery": ("bigquery", "test_gcs.py", "test_google_"),
    "s3": ("s3",),
    "dbt": ("full_pipeline", "test_lakehouse", "test_builds"),
}
"""Parts of the names of tests and files that share an emulator, or the slow import of dbt."""


def pytest_configure(config: pytest.Config) -> None:
    if names := settings_of(ROOT / ".env"):  # the scripts that tests start would read them
        raise pytest.UsageError(
            f"{ROOT / '.env'} sets {', '.join(names)}, which tests must not use; move it while "
            "they run: mv .env .env.mine"
        )
    for mark in MARKS:
        config.addinivalue_line("markers", mark)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # else every collection during the tests visits all modules and tests


@pytest.hookimpl(tryfirst=True)  # before -m selects by the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the cases as slow that `slow_on` and `few` mean; deselect those for a cluster."""
    tests = defaultdict[str, list[pytest.Function]](list)
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            tests[item.nodeid.partition("[")[0]].append(item)
    for cases in tests.values():
        named = [id for mark in cases[0].iter_markers("slow_on") for id in mark.args]
        slow = [case for case in cases if any(_has(case.callspec.id, id) for id in named)]
        if few := cases[0].get_closest_marker("few"):
            for destination in (*DESTINATIONS, None):
                of_it = [case for case in cases if _destination(case.callspec.id) == destination]
                slow += [case for case in of_it if case not in _spread(of_it, *few.args)]
        for case in slow:
            case.add_marker("slow")
        for case in cases:
            if _destination(case.callspec.id) in CLUSTER:
                case.add_marker("cluster")
    if "cluster" not in config.getoption("markexpr"):
        items[:] = [item for item in items if not item.get_closest_marker("cluster")]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return ByDestination(config, log)


class ByDestination(LoadScopeScheduling):  # type: ignore[misc]
    """Tests of one file and destination share a worker; so do the groups in ONE_WORKER.

    Marks for --dist=loadgroup have no effect with pytest 9.2 (pytest-xdist issue 1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        test, _, ids = nodeid.removesuffix("]").partition("[")
        file, destination = test.partition("::")[0], _destination(ids)
        if "not slow" in self.config.getoption("markexpr"):
            for shared, names in ONE_WORKER.items():
                if destination == shared or any(name in test for name in names):
                    return shared  # the slow ones would take too long on one worker
        return f"{file}-{destination}"


def _has(ids: str, id: str) -> bool:
    return f"-{id}-" in f"-{ids}-"


def _destination(ids: str) -> str | None:
    return next((name for name in DESTINATIONS if _has(ids, name)), None)


def _spread(cases: list[pytest.Function], n: int) -> list[pytest.Function]:
    """The first case, and n - 1 others at equal distances."""
    return [cases[k * len(cases) // n] for k in range(n)] if len(cases) > n else cases
