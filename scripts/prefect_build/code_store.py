"""Versions of flow code in a bucket: `<bucket>/<flow>/flow/<version>/...`.

A version is immutable and complete. Its files are uploaded first, its manifest last, and only then
does a deployment reference it, so a run never fetches a partial version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prefect.client.schemas.responses import DeploymentResponse

from .buckets import Bucket
from .bundles import Bundle

MANIFEST = "manifest.json"
REPLACED = ".replaced"
"""Empty file in a version's folder, written when no deployment references it any more."""
VERSION = re.compile(r"(?P<folder>[^/]+/flow/[0-9a-f]{16})/(?P<name>.+)")
MAX_REQUESTS = 8
"""Concurrent requests to a bucket."""


@dataclass
class CodeStore:
    """The versions of all flows in a bucket, listed once when it is opened."""

    bucket: Bucket
    keys: dict[str, datetime] = field(init=False)
    """Every key of the bucket and when it was written, UTC."""

    def __post_init__(self) -> None:
        self.keys = {found.key: found.written for found in self.bucket.objects()}

    def upload(self, folder: str, entrypoint: str, bundle: Bundle) -> None:
        """Upload a version into its folder, manifest last; skip it if it is complete."""
        contents = {f"{folder}/{name}": content for name, content in bundle.contents.items()}
        manifest = f"{folder}/{MANIFEST}"
        if self.keys.keys() >= {*contents, manifest}:
            return
        run_concurrently(lambda key: self.bucket.write(key, contents[key]), contents)
        facts = {"entrypoint": entrypoint, "files": bundle.digests}
        self.bucket.write(manifest, json.dumps(facts, indent=1).encode())
        self.keys |= dict.fromkeys({*contents, manifest}, datetime.now(UTC))

    def mark_replaced(self, current: set[str], referenced: set[str]) -> None:
        """Record when versions are replaced; call it just before the deployments change.

        Args:
            current: Folders of the versions that the deployments are about to reference.
            referenced: Folders of the versions that they reference now.
        """
        flows = {_flow(folder) for folder in current}
        for folder in referenced & self.versions().keys() - current:
            if _flow(folder) in flows:
                key = f"{folder}/{REPLACED}"
                self.bucket.write(key, b"")
                self.keys[key] = datetime.now(UTC)

    def prune(self, current: set[str], referenced: set[str], min_age: timedelta) -> None:
        """Delete other versions of the `current` flows that were replaced at least `min_age` ago.

        A run may have read its deployment just before the deployment changed, and be about to
        fetch the code. So the versions that deployments `referenced` when this build started are
        kept, and those replaced recently.
        """
        now = datetime.now(UTC)
        flows = {_flow(folder) for folder in current}
        versions = self.versions()
        # The newest file of a replaced version is its marker.
        written = {one: max(self.keys[key] for key in versions[one].values()) for one in versions}

        def replaced_at(folder: str) -> datetime:
            own = written[folder]
            others = (written[one] for one in versions if _flow(one) == _flow(folder))
            return min((time for time in others if time > own), default=own)

        stale = [
            key
            for folder in versions.keys() - current - referenced
            if _flow(folder) in flows and now - replaced_at(folder) > min_age
            for key in versions[folder].values()
        ]
        # Manifests first: a partially deleted version must not count as complete.
        self.bucket.delete(sorted(stale, key=lambda key: not key.endswith(f"/{MANIFEST}")))

    def versions(self) -> dict[str, dict[str, str]]:
        """Return each version's folder with its files: name -> key."""
        found: dict[str, dict[str, str]] = {}
        for key in self.keys:
            if match := VERSION.match(key):
                found.setdefault(match["folder"], {})[match["name"]] = key
        return found

    def orphans(self) -> list[str]:
        """Return Python files outside any version, such as those uploaded by other tools."""
        return sorted(k for k in self.keys if k.endswith(".py") and not VERSION.match(k))

    def version_folder(self, deployment: DeploymentResponse) -> str | None:
        """Return the folder that a deployment fetches; None if its code is not in this bucket."""
        (step_name,) = self.bucket.pull_step("")
        for step in deployment.pull_steps or []:
            inputs = step.get(step_name, {})
            if inputs.get("bucket") == self.bucket.name:
                return str(inputs["folder"]).rstrip("/")
        return None

    def download(self, files: dict[str, str], folder: Path) -> None:
        """Download files (name -> key, as `versions` returns them) into a folder."""

        def download_one(name: str) -> None:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.bucket.read(files[name]))

        run_concurrently(download_one, files)


def run_concurrently(call: Callable[[str], None], items: Iterable[str]) -> None:
    with ThreadPoolExecutor(MAX_REQUESTS) as pool:
        list(pool.map(call, items))


def _flow(folder: str) -> str:
    """Return the folder that holds all versions of a version's flow."""
    return folder.rpartition("/")[0]


def flow_slug(flow: str) -> str:
    """Return a flow's name as part of a key: "Ingest Data" -> ingest-data."""
    return re.sub(r"[^\w.]+", "-", flow.lower()).strip("-.") or "-"


def flow_folder(flow: str) -> str:
    """Return the folder that holds all versions of a flow: the path of its deployments."""
    return f"{flow_slug(flow)}/flow"
