"""`build.py --verify --s3-bucket ...`: that what lies in a bucket runs, seen before a run sees it.

Each version is downloaded into a folder of its own, as a worker would, and imported there in a
fresh process.
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

from buckets import MANIFEST, CodeStore, code_folder
from checks import check_bundle
from looking import Ask, look
from nyc_taxi.errors import InvalidInputError

AGAIN = "run build.py again"


def verify_bucket(
    store: CodeStore, deployments: list[tuple[str, DeploymentResponse]] | None
) -> Iterator[tuple[str, list[str]]]:
    """Every version that a deployment names, and what lies in the bucket to no purpose.

    Args:
        deployments: Those that fetch their code from this bucket, with the names of their flows;
            None where no server was asked: then every version that has a manifest counts.
    """
    url = store.bucket.url
    for key in store.strays():
        yield f"{url}/{key}", ["it is of no version, so nothing runs it; delete it"]
    folders = store.folders()
    named: dict[str, list[tuple[str, DeploymentResponse]]] = {}
    for flow, deployment in deployments or []:
        named.setdefault(store.folder_of(deployment) or "", []).append((flow, deployment))
    whole = {folder for folder, files in folders.items() if MANIFEST in files}
    for folder in sorted(folders.keys() - whole - named.keys()):
        yield f"{url}/{folder}", [f"half an upload, without its manifest; {AGAIN}"]
    with TemporaryDirectory() as scratch:
        versions = [
            Version(folder, Path(scratch, str(number)), named.get(folder, []))
            for number, folder in enumerate(sorted(whole if deployments is None else named))
        ]
        for version in versions:
            version.place.mkdir()
            store.download(folders.get(version.folder, {}), version.place)
        runnable = [version for version in versions if version.file.is_file()]
        answers = look([version.ask for version in runnable])
        imported = dict(zip((version.folder for version in runnable), answers, strict=True))
        for version in versions:
            findings = [*version.findings(store), *check_bundle(version.files)]
            if isinstance(broken := imported.get(version.folder), InvalidInputError):
                findings.append(str(broken))
            yield f"{url}/{version.folder}", findings


@dataclass
class Version:
    """A version as it was downloaded."""

    folder: str
    """In the bucket."""
    place: Path
    """On this machine."""
    named: list[tuple[str, DeploymentResponse]]
    """By these deployments."""

    @property
    def files(self) -> dict[PurePosixPath, Path]:
        found = (path for path in self.place.rglob("*") if path.is_file())
        return {PurePosixPath(path.relative_to(self.place)): path for path in found}

    @property
    def manifest(self) -> dict[str, Any]:
        """Empty where there is none, or none that can be read."""
        try:
            return dict(json.loads((self.place / MANIFEST).read_bytes()))
        except (FileNotFoundError, ValueError):
            return {}

    @property
    def entrypoints(self) -> list[str]:
        said = [str(deployment.entrypoint) for _, deployment in self.named]
        return said or [self.manifest.get("entrypoint", "")]

    @property
    def file(self) -> Path:
        return self.place / self.entrypoints[0].partition(":")[0]

    @property
    def ask(self) -> Ask:
        functions = (entrypoint.partition(":")[2] for entrypoint in self.entrypoints)
        return Ask(self.place, self.file.name, tuple(dict.fromkeys(functions)))

    def findings(self, store: CodeStore) -> Iterator[str]:
        """Where the files, the manifest and the deployments do not agree."""
        if not self.manifest:
            yield f"half an upload, without its manifest; {AGAIN}"
        for name, digest in self.manifest.get("files", {}).items():
            if not (self.place / name).is_file():
                yield f"half an upload: {name} is not there; {AGAIN}"
            elif hashlib.sha256((self.place / name).read_bytes()).hexdigest() != digest:
                yield f"{name} was changed in the bucket; delete it there and {AGAIN}"
        for flow, deployment in self.named:
            who, kept = f"the deployment {flow}/{deployment.name}", code_folder(flow)
            if deployment.path != kept or self.folder != f"{kept}/{deployment.version}":
                yield (
                    f"{who} has the path {deployment.path}, the version {deployment.version} and "
                    f"fetches {self.folder}: it should be {kept} and {kept}/<version>; {AGAIN}"
                )
            if not (self.place / str(deployment.entrypoint).partition(":")[0]).is_file():
                yield f"{who} has the entrypoint {deployment.entrypoint}: no such file; {AGAIN}"
