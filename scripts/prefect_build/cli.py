"""The options of build.py."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import cyclopts

from nyc_taxi.environment import load_environment
from nyc_taxi.errors import NycTaxiError

from .introspection import ROOT, start_fork_server

Names = Annotated[list[str], cyclopts.Parameter(consume_multiple=True, negative=())]
Paths = Annotated[list[Path], cyclopts.Parameter(consume_multiple=True, negative=())]
Hours = Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=0, lte=10**6))]
Flag = Annotated[bool, cyclopts.Parameter(negative=())]
Root = Annotated[Path, cyclopts.Parameter(show_default=lambda _: "this checkout")]
app = cyclopts.App(version_flags=[], result_action="return_value")


@app.default
def build(
    *,
    flows: Paths = [],
    projects: Names = [],
    labels: Names = [],
    s3_bucket: str | None = None,
    aws_profile: str | None = None,
    gcs_bucket: str | None = None,
    work_pool: str | None = None,
    image: str | None = None,
    env: Literal["dev", "prod"] | None = None,
    update: Flag = False,
    dry_run: Flag = False,
    verify: Flag = False,
    prune_after: Hours = 24,
    prune_deployments: Flag = False,
    root: Root = ROOT,
) -> bool:
    """Find, check, store and register flows with Prefect.

    Without options, every flow is registered, and workers run the code in their own checkout. A
    rerun changes nothing. Broken flows are reported and keep their deployment; the other flows are
    registered, and the exit code is 1.

    Args:
        flows: Register only these flow files or flow folders.
        projects: Register only the flows of these projects (folders of flows/).
        labels: Tags of the deployments; the first one is also their work queue.
        s3_bucket: Store the flow code in this S3 bucket, from which runs fetch it.
        aws_profile: AWS profile for the upload.
        gcs_bucket: Store the flow code in this Google Cloud Storage bucket.
        work_pool: Work pool of all deployments; overrides deployment.yaml.
        image: Image of all deployments, for work pools that run containers.
        env: Read settings from .env.dev or .env.prod before .env.
        update: Update existing deployments only; create none.
        dry_run: Show what would change, and change nothing.
        verify: Check and import without registering: the checkout, or the code in the bucket.
        prune_after: Hours until replaced code is deleted from the bucket.
        prune_deployments: Delete deployments whose flow is no longer under flows/.
        root: Folder that contains flows/.
    """
    load_environment(env)
    start_fork_server()
    from . import commands  # imports Prefect, while the fork server does the same
    from .buckets import open_bucket
    from .deployments import Overrides
    from .projects import find_flows

    files = find_flows(root.resolve(), projects, flows)
    if verify and not (s3_bucket or gcs_bucket):
        return commands.verify_checkout(files)
    if not (s3_bucket or gcs_bucket):
        s3_bucket = os.environ.get("NYC_TAXI_CODE_S3_BUCKET")
        gcs_bucket = os.environ.get("NYC_TAXI_CODE_GCS_BUCKET")
    bucket = open_bucket(s3_bucket, aws_profile, gcs_bucket)
    if verify and bucket:
        return commands.verify_stored_code(bucket)
    overrides = Overrides(labels, work_pool, image)
    min_age = timedelta(hours=prune_after)
    return commands.register(files, overrides, bucket, min_age, prune_deployments, dry_run, update)


def main() -> None:
    try:
        succeeded = app(exit_on_error=False, print_error=False)
    except (NycTaxiError, cyclopts.CycloptsError) as problem:
        sys.exit(f"error: {' '.join(str(problem).split())}")
    sys.exit(0 if succeeded or succeeded is None else 1)  # None: the help was printed
