"""`build.py --verify --s3-bucket ...`: check that the code in a bucket runs.

Each version is downloaded into its own folder, as a worker would, and imported there in a new
process.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from prefect.client.schemas.responses import DeploymentResponse

from nyc_taxi.errors import InvalidInputError

from .checks import check_stored_version
from .code_store import MANIFEST, CodeStore, flow_folder
from .introspection import ImportRequest, introspect

RERUN = "rerun build.py"
NO_MANIFEST = f"incomplete upload, the manifest is missing; {RERUN}"


def verify_bucket(
    store: CodeStore, deployments: list[tuple[str, DeploymentResponse]] | None
) -> Iterator[tuple[str, list[str]]]:
    """Yield each version that a deployment references, and each orphan, with its findings.

    Args:
        store: The versions in the bucket.
        deployments: Deployments whose code is in this bucket, with the names of their flows; None
            without a server: then every version with a manifest is checked.
    """
    url = store.bucket.url
    for key in store.orphans():
        yield f"{url}/{key}", ["orphaned: no deployment references it; delete it"]
    stored = store.versions()
    referenced: dict[str, list[tuple[str, DeploymentResponse]]] = {}
    for flow_name, deployment in deployments or []:
        folder = store.version_folder(deployment) or ""
        referenced.setdefault(folder, []).append((flow_name, deployment))
    complete = {folder for folder, files in stored.items() if MANIFEST in files}
    for folder in sorted(stored.keys() - complete - referenced.keys()):
        yield f"{url}/{folder}", [NO_MANIFEST]
    with TemporaryDirectory() as scratch:
        versions = [
            DownloadedVersion(folder, Path(scratch, str(number)), referenced.get(folder, []))
            for number, folder in enumerate(sorted(complete if deployments is None else referenced))
        ]
        for version in versions:
            version.path.mkdir()
            store.download(stored.get(version.folder, {}), version.path)
        runnable = [version for version in versions if version.flow_file.is_file()]
        results = introspect([version.import_request for version in runnable])
        imported = dict(zip((version.folder for version in runnable), results, strict=True))
        for version in versions:
            findings = [*version.findings(), *check_stored_version(version.files)]
            if isinstance(error := imported.get(version.folder), InvalidInputError):
                findings.append(str(error))
            yield f"{url}/{version.folder}", findings


@dataclass
class DownloadedVersion:
    """A version of a flow's code on this machine."""

    folder: str
    """In the bucket."""
    path: Path
    """On this machine."""
    deployments: list[tuple[str, DeploymentResponse]]
    """Deployments that reference it, with the names of their flows."""

    @property
    def files(self) -> dict[PurePosixPath, Path]:
        paths = (path for path in self.path.rglob("*") if path.is_file())
        return {PurePosixPath(path.relative_to(self.path)): path for path in paths}

    @property
    def manifest(self) -> dict[str, Any]:
        """Empty if it is missing or unreadable."""
        try:
            return dict(json.loads((self.path / MANIFEST).read_bytes()))
        except (FileNotFoundError, ValueError):
            return {}

    @property
    def entrypoints(self) -> list[str]:
        deployed = [str(deployment.entrypoint) for _, deployment in self.deployments]
        return deployed or [self.manifest.get("entrypoint", "")]

    @property
    def flow_file(self) -> Path:
        return self.path / self.entrypoints[0].partition(":")[0]

    @property
    def import_request(self) -> ImportRequest:
        functions = (entrypoint.partition(":")[2] for entrypoint in self.entrypoints)
        return ImportRequest(self.path, self.flow_file.name, tuple(dict.fromkeys(functions)))

    def findings(self) -> Iterator[str]:
        """Yield the inconsistencies between files, manifest and deployments."""
        if not self.manifest:
            yield NO_MANIFEST
        for name, digest in self.manifest.get("files", {}).items():
            if not (self.path / name).is_file():
                yield f"incomplete upload, {name} is missing; {RERUN}"
            elif hashlib.sha256((self.path / name).read_bytes()).hexdigest() != digest:
                yield f"{name} was changed in the bucket; delete it there and {RERUN}"
        for flow_name, deployment in self.deployments:
            subject, expected = f"deployment {flow_name}/{deployment.name}", flow_folder(flow_name)
            if deployment.path != expected or self.folder != f"{expected}/{deployment.version}":
                yield (
                    f"{subject} has the path {deployment.path}, the version {deployment.version} "
                    f"and fetches {self.folder}; expected {expected} and {expected}/<version>; "
                    f"{RERUN}"
                )
            if not (self.path / str(deployment.entrypoint).partition(":")[0]).is_file():
                yield f"{subject}: its entrypoint {deployment.entrypoint} is not a file; {RERUN}"
