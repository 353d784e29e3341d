"""Find, check, store and register every flow under flows/: see `build.py --help`."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import cyclopts
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from looking import get_ready
from nyc_taxi.environment import load_environment
from nyc_taxi.errors import NycTaxiError

if TYPE_CHECKING:  # light: each process that imports a flow imports this file first
    from buckets import Bucket
    from deployments import Defaults
    from plan import Row
    from projects import FlowFile

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
WIDE = 10_000
"""Columns of a table that goes into a file or a pull request, where no row may be broken."""

Words = Annotated[list[str], cyclopts.Parameter(consume_multiple=True, negative=())]
Paths = Annotated[list[Path], cyclopts.Parameter(consume_multiple=True, negative=())]
Hours = Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=0, lte=10**6))]
Switch = Annotated[bool, cyclopts.Parameter(negative=())]
app = cyclopts.App(version_flags=[], result_action="return_value")


@app.default
def build(
    *,
    flows: Paths = [],
    projects: Words = [],
    labels: Words = [],
    s3_bucket: str | None = None,
    aws_profile: str | None = None,
    gcs_bucket: str | None = None,
    work_pool: str | None = None,
    image: str | None = None,
    env: Literal["dev", "prod"] | None = None,
    dry_run: Switch = False,
    verify: Switch = False,
    prune_after: Hours = 24,
    prune_deployments: Switch = False,
    root: Path = ROOT,
) -> bool:
    """Register flows with Prefect: find them by folder, check them, store and deploy them.

    Without options: every flow, its code being where the workers' checkout is. Run it again, and
    nothing changes. A broken flow is named with the reason and left as it was, the others are
    registered; the exit code is then 1.

    Args:
        flows: Only these: flow files, or their folders.
        projects: Only the flows of these projects, the folders of flows/.
        labels: Tags for the deployments; the first is their work queue as well.
        s3_bucket: Keep the code in this bucket of S3, from where runs fetch it.
        aws_profile: The profile of AWS to upload with.
        gcs_bucket: Keep the code in this bucket of Google Cloud Storage.
        work_pool: The work pool for all, whatever their deployment.yaml says.
        image: The image for all, where the work pool runs containers.
        env: Settings from .env.dev or .env.prod, before those of .env.
        dry_run: Only show what would be done.
        verify: Register nothing, but check and import: the checkout, or what lies in the bucket.
        prune_after: Hours after which code that was replaced leaves the bucket.
        prune_deployments: Delete the deployments whose flow is no longer under flows/.
        root: The folder that holds flows/.
    """
    load_environment(env)
    get_ready()
    from buckets import open_bucket
    from deployments import Defaults
    from projects import find_flows

    files = find_flows(root.resolve(), projects, flows)
    if verify and not (s3_bucket or gcs_bucket):
        return verify_checkout(files)
    if not (s3_bucket or gcs_bucket):
        s3_bucket = os.environ.get("NYC_TAXI_CODE_S3_BUCKET")
        gcs_bucket = os.environ.get("NYC_TAXI_CODE_GCS_BUCKET")
    bucket = open_bucket(s3_bucket, aws_profile, gcs_bucket)
    if verify and bucket:
        return verify_stored(bucket)
    defaults = Defaults(labels, work_pool, image)
    after = timedelta(hours=prune_after)
    return register(files, defaults, bucket, after, prune_deployments, dry_run)


def register(
    files: list[FlowFile],
    defaults: Defaults,
    bucket: Bucket | None,
    prune_after: timedelta,
    prune_deployments: bool,
    dry_run: bool,
) -> bool:
    """Whether every flow now is what it shall be (with `dry_run`, whether it would be)."""
    from buckets import CodeStore
    from orphans import delete, orphans
    from plan import candidates, carry_out, find_namesakes, plan
    from register import connected

    with connected() as server:
        store = CodeStore(bucket) if bucket else None
        bundled = bucket is not None
        found = list(shown(candidates(files, defaults, bundled), len(files), "importing"))
        find_namesakes(found)
        rows = list(plan(found, server, store))
        gone = dict(orphans(found, server, store))
        current = {row.wanted.code for row in rows if row.wanted}
        named = {store.folder_of(d) or "" for d in server.deployments.values()} if store else set()
        if not dry_run:
            if store:
                store.mark_replaced(current, named)
            for row in shown(rows, len(rows), "registering"):
                carry_out(row, server, store)
        if prune_deployments and not dry_run:
            for deployment in gone.values():
                delete(server, deployment)
        if store and not dry_run:
            store.prune(current, named, prune_after)
    state = "deleted" if prune_deployments else "delete it: build.py --prune-deployments"
    show_rows(
        rows, bucket, dry_run, [f"{name}: its flow is gone from flows/; {state}" for name in gone]
    )
    return not any(row.findings for row in rows)


def verify_checkout(files: list[FlowFile]) -> bool:
    """Whether each flow runs where only its own code is: no rest of the checkout, no server."""
    from deployments import Defaults
    from plan import candidates, find_namesakes

    found = list(shown(candidates(files, Defaults(), bundled=True), len(files), "importing"))
    find_namesakes(found)
    return show_findings((str(one.file), one.findings) for one in found)


def verify_stored(bucket: Bucket) -> bool:
    """Whether what lies in the bucket runs, and is what the server's deployments name."""
    from buckets import CodeStore
    from register import connected, is_configured
    from verify import verify_bucket

    store, deployments = CodeStore(bucket), None
    if is_configured():
        with connected() as server:
            deployments = server.deployments_from(store)
    return show_findings(verify_bucket(store, deployments))


def shown(things: Iterable[T], total: int, doing: str) -> Iterator[T]:
    """The same things, with a bar in the terminal while they take their time."""
    terminal = Console(stderr=True)
    yield from track(
        things, doing, total, console=terminal, transient=True, disable=not terminal.is_terminal
    )


def show_rows(rows: list[Row], bucket: Bucket | None, dry_run: bool, orphaned: list[str]) -> None:
    """A table that is Markdown as well, then what is broken, then how many of each."""
    table = Table(box=box.MARKDOWN)
    for column in ("flow", "entrypoint", "code", "work pool", "schedule", "status"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row.cells(bucket))
    out = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False, markup=False)
    out.print(table)
    for secret in sorted({path for row in rows if bucket for path in row.files.secrets}):
        out.print(f"left out, as it looks like a secret: {secret}", soft_wrap=True)
    for row in rows:
        for finding in row.findings:
            out.print(f"{row.file}: {finding}", soft_wrap=True)
    for line in orphaned:
        out.print(line, soft_wrap=True)
    sums = Counter(row.status.partition(" ")[0] for row in rows)
    said = ", ".join(f"{number} {status}" for status, number in sorted(sums.items()))
    out.print(f"\n{said}{' (dry run: nothing was done)' if dry_run else ''}")


def show_findings(checked: Iterable[tuple[str, list[str]]]) -> bool:
    places = 0
    wrong = 0
    for place, findings in checked:
        places += 1
        wrong += bool(findings)
        for finding in findings:
            print(f"{place}: {finding}")
    print(f"{places} checked, {wrong or 'none'} broken")
    return not wrong


def main() -> None:
    try:
        good = app(exit_on_error=False, print_error=False)
    except (NycTaxiError, cyclopts.CycloptsError) as problem:
        sys.exit(f"error: {' '.join(str(problem).split())}")
    sys.exit(0 if good or good is None else 1)


if __name__ == "__main__":
    main()
