"""Flow code in S3 or GCS: `<bucket>/<flow>/flow/<version>/...`, a version whole or not at all.

A version is never changed. Its files are written first and its manifest last, and only then does a
deployment name it, so a run finds a whole version or none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from prefect.client.schemas.responses import DeploymentResponse
from prefect.settings import get_current_settings

from bundles import Bundle
from nyc_taxi.errors import InvalidInputError

MANIFEST = "manifest.json"
REPLACED = ".replaced"
"""An empty file in a version's folder: written when no deployment names the version any more."""
VERSION = re.compile(r"(?P<folder>[^/]+/flow/[0-9a-f]{16})/(?P<name>.+)")
AT_ONCE = 8
"""Requests to a bucket that are under way at the same time."""


@dataclass(frozen=True)
class Object:
    key: str
    written: datetime
    """UTC."""


class Bucket(Protocol):
    """A bucket for code, with Google's or Amazon's own client."""

    name: str

    @property
    def url(self) -> str: ...
    def objects(self) -> Iterator[Object]: ...
    def read(self, key: str) -> bytes: ...
    def write(self, key: str, data: bytes) -> None: ...
    def delete(self, keys: list[str]) -> None: ...
    def pull_step(self, folder: str) -> dict[str, Any]:
        """What a worker does to have the folder's files in its working directory."""
        ...


def saved_block(kind: Any, name: str) -> Any:
    """The block, or None where nobody has saved one, or no server was named."""
    try:
        return kind.load(name) if get_current_settings().api.url else None
    except ValueError:
        return None


@dataclass
class CodeStore:
    """The versions of all flows in a bucket, as they were when it was opened."""

    bucket: Bucket
    keys: dict[str, datetime] = field(init=False)

    def __post_init__(self) -> None:
        self.keys = {found.key: found.written for found in self.bucket.objects()}

    def put(self, folder: str, entrypoint: str, bundle: Bundle) -> None:
        """Upload a version into its folder, unless all of it is there; its manifest comes last."""
        keys = {f"{folder}/{name}": content for name, content in bundle.contents.items()}
        manifest = f"{folder}/{MANIFEST}"
        if self.keys.keys() >= {*keys, manifest}:
            return
        at_once(lambda key: self.bucket.write(key, keys[key]), keys)
        held = {"entrypoint": entrypoint, "files": bundle.digests}
        self.bucket.write(manifest, json.dumps(held, indent=1).encode())
        self.keys |= dict.fromkeys({*keys, manifest}, datetime.now(UTC))

    def mark_replaced(self, current: set[str], named: set[str]) -> None:
        """Note the time at which deployments cease to name a version; call it just before that."""
        flows = {folder.rpartition("/")[0] for folder in current}
        for folder in named & self.folders().keys() - current:
            if folder.rpartition("/")[0] in flows:
                key = f"{folder}/{REPLACED}"
                self.bucket.write(key, b"")
                self.keys[key] = datetime.now(UTC)

    def prune(self, current: set[str], named: set[str], older: timedelta) -> None:
        """Delete the other versions of the flows whose current folders these are, once old enough.

        A run may have read its deployment just before it changed, and be about to fetch its code:
        kept is what deployments `named` when this build began, and what was replaced lately.
        """
        now = datetime.now(UTC)
        flows = {folder.rpartition("/")[0] for folder in current}
        folders = self.folders()
        # the marker is the newest of a version that was replaced
        written = {one: max(self.keys[key] for key in folders[one].values()) for one in folders}

        def replaced(folder: str) -> datetime:
            flow, own = folder.rpartition("/")[0], written[folder]
            later = (written[one] for one in folders if one.rpartition("/")[0] == flow)
            return min((time for time in later if time > own), default=own)

        stale = [
            key
            for folder in folders.keys() - current - named
            if folder.rpartition("/")[0] in flows and now - replaced(folder) > older
            for key in folders[folder].values()
        ]
        # manifests first: what is half deleted is no version
        self.bucket.delete(sorted(stale, key=lambda key: not key.endswith(f"/{MANIFEST}")))

    def folders(self) -> dict[str, dict[str, str]]:
        """Each version's folder -> its files by name -> their keys."""
        found: dict[str, dict[str, str]] = {}
        for key in self.keys:
            if match := VERSION.match(key):
                found.setdefault(match["folder"], {})[match["name"]] = key
        return found

    def strays(self) -> list[str]:
        """Python files that belong to no version, such as those of earlier ways to upload."""
        return sorted(k for k in self.keys if k.endswith(".py") and not VERSION.match(k))

    def folder_of(self, deployment: DeploymentResponse) -> str | None:
        """Of the version that a deployment fetches from this bucket; None if from elsewhere."""
        (kind,) = self.bucket.pull_step("")
        for step in deployment.pull_steps or []:
            inputs = step.get(kind, {})
            if inputs.get("bucket") == self.bucket.name:
                return str(inputs["folder"]).rstrip("/")
        return None

    def download(self, files: dict[str, str], folder: Path) -> None:
        """Files by name, as `folders` has them, into a folder."""

        def one(name: str) -> None:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.bucket.read(files[name]))

        at_once(one, files)


def at_once(do: Callable[[str], None], items: Iterable[str]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(do, items))


def code_name(flow: str) -> str:
    """A flow's name as part of a key: "Ingest Data" is ingest-data."""
    return re.sub(r"[^\w.]+", "-", flow.lower()).strip("-.") or "-"


def code_folder(flow: str) -> str:
    """Where all versions of a flow are kept: the path of its deployments."""
    return f"{code_name(flow)}/flow"


def open_bucket(s3: str | None, profile: str | None, gcs: str | None) -> Bucket | None:
    if s3 and gcs:
        raise InvalidInputError(
            "code is kept in one place: give --s3-bucket or --gcs-bucket, not both"
        )
    if s3:
        from s3 import S3Bucket  # each client takes a second to import

        return S3Bucket(s3, profile)
    if gcs:
        from gcs import GcsBucket

        return GcsBucket(gcs)
    return None
