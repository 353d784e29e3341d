"""What build.py does: register flows, or verify their code."""

from __future__ import annotations

from datetime import timedelta

from nyc_taxi.errors import InvalidInputError

from . import output
from .buckets import Bucket
from .code_store import CodeStore
from .deployments import Overrides
from .orphans import delete_deployment, find_orphaned_deployments
from .plan import apply, find_duplicate_names, load_candidates, plan
from .projects import FlowFile
from .server import connect, is_server_configured
from .verify import verify_bucket


def register(
    files: list[FlowFile],
    overrides: Overrides,
    bucket: Bucket | None,
    prune_after: timedelta,
    prune_deployments: bool,
    dry_run: bool,
    update: bool = False,
) -> bool:
    """Register the flows and return True if every flow is up to date.

    With `dry_run` nothing changes; returns True if every flow would be up to date. With `update`
    no deployment is created.
    """
    with connect() as server:
        store = CodeStore(bucket) if bucket else None
        loading = load_candidates(files, overrides, bundled=bucket is not None)
        candidates = list(output.progress(loading, len(files), "importing"))
        find_duplicate_names(candidates)
        rows = [row for row in plan(candidates, server, store) if not (update and row.is_new)]
        if not rows:
            raise InvalidInputError("these flows have no deployments yet; omit --update")
        orphans = dict(find_orphaned_deployments(candidates, server, store))
        current = {row.desired.code for row in rows if row.desired}
        deployments = server.deployments.values()
        referenced = {store.version_folder(d) or "" for d in deployments} if store else set()
        if not dry_run:
            if store:
                store.mark_replaced(current, referenced)
            for row in output.progress(rows, len(rows), "registering"):
                apply(row, server, store)
        if prune_deployments and not dry_run:
            for deployment in orphans.values():
                delete_deployment(server, deployment)
        if store and not dry_run:
            store.prune(current, referenced, prune_after)
    fix = "deleted" if prune_deployments else "delete it with: build.py --prune-deployments"
    notes = [f"{name}: orphaned, its flow is no longer under flows/; {fix}" for name in orphans]
    output.print_rows(rows, bucket, dry_run, notes)
    return not any(row.findings for row in rows)


def verify_checkout(files: list[FlowFile]) -> bool:
    """Return True if each flow can be imported from its bundle alone; needs no server."""
    loading = load_candidates(files, Overrides(), bundled=True)
    candidates = list(output.progress(loading, len(files), "importing"))
    find_duplicate_names(candidates)
    return output.print_findings((str(one.file), one.findings) for one in candidates)


def verify_stored_code(bucket: Bucket) -> bool:
    """Return True if the code in the bucket can be imported and matches the deployments."""
    store, deployments = CodeStore(bucket), None
    if is_server_configured():
        with connect() as server:
            deployments = server.deployments_in(store)
    return output.print_findings(verify_bucket(store, deployments))
