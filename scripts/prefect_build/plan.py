"""From flow files to the rows of build.py's table: the desired deployments and their status."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect.client.schemas.actions import DeploymentScheduleCreate

from nyc_taxi.errors import InvalidInputError, NycTaxiError

from .buckets import Bucket
from .bundles import Bundle, build_bundle
from .checks import check_checkout
from .code_store import CodeStore, flow_slug
from .deployments import DeploymentFile, Overrides, read_deployments
from .desired import DesiredDeployment, build_deployment
from .introspection import FlowInfo, ImportRequest, introspect
from .projects import FlowFile, declared_flows, find_flows
from .server import CREATED, Server


@dataclass
class Candidate:
    """A flow file with everything known about it without a server."""

    file: FlowFile
    bundle: Bundle
    settings: list[DeploymentFile] = field(default_factory=list)
    flows: dict[str, FlowInfo] = field(default_factory=dict)
    """By function."""
    findings: list[str] = field(default_factory=list)
    """One line for each problem, with its fix."""

    def flow(self, settings: DeploymentFile) -> FlowInfo:
        return self.flows[settings.flow] if settings.flow else next(iter(self.flows.values()))


def load_candidates(
    files: list[FlowFile], overrides: Overrides, bundled: bool
) -> Iterator[Candidate]:
    """Check each file, read its settings and import it once.

    With `bundled` the flow's bundle is imported, else the file in the checkout.
    """
    with TemporaryDirectory() as folder:
        candidates, requests = [], []
        for number, file in enumerate(files):
            one = Candidate(file, build_bundle(file))
            one.findings += check_checkout(file, one.bundle)
            try:
                one.settings = read_deployments(file, overrides)
            except InvalidInputError as problem:
                one.findings.append(str(problem))
            place, name = file.root, str(file)
            if bundled:
                place, name = Path(folder, str(number)), file.path.name
                one.bundle.copy_to(place)
            functions = dict.fromkeys(s.flow for s in one.settings if s.flow)
            requests.append(ImportRequest(place, name, tuple(functions)))
            candidates.append(one)
        for one, result in zip(candidates, introspect(requests), strict=True):
            if isinstance(result, InvalidInputError):
                one.findings.append(str(result))
            else:
                one.flows = {flow.function: flow for flow in result}
                one.findings += find_unknown_parameters(one)
            yield one


def find_unknown_parameters(candidate: Candidate) -> Iterator[str]:
    """Yield a finding for each deployment parameter that the flow does not have.

    Every run with such a parameter would fail.
    """
    for settings in candidate.settings:
        known = candidate.flow(settings).schema.get("properties", {})
        for name in sorted(set(settings.parameters) - set(known)):
            yield (
                f"deployment {settings.name}: unknown parameter {name}; "
                f"the flow's parameters: {', '.join(known) or 'none'}"
            )


def find_duplicate_names(candidates: list[Candidate]) -> None:
    """Add a finding to every flow whose name is used in another file: Prefect's key is the name.

    Files that were not requested count too; they are parsed, not imported.
    """
    imported = {one.file: [flow.name for flow in one.flows.values()] for one in candidates}
    files: dict[str, set[FlowFile]] = {}
    for file in find_flows(candidates[0].file.root, [], []):
        for name in imported[file] if file in imported else _declared_names(file):
            files.setdefault(flow_slug(name), set()).add(file)
    for one in candidates:
        for name in imported[one.file]:
            if others := ", ".join(map(str, sorted(files[flow_slug(name)] - {one.file}))):
                one.findings.append(
                    f"the flow name {name} is also used in {others}; "
                    "rename one of the flows: @flow(name=...)"
                )


def _declared_names(file: FlowFile) -> list[str]:
    """Return the names of the flows that would be registered; none if the file is broken."""
    try:
        flows = declared_flows(file.path)
        deployed = {settings.flow for settings in read_deployments(file, Overrides())} - {None}
    except (SyntaxError, InvalidInputError):
        return []
    return [name for function, name in flows.items() if not deployed or function in deployed]


@dataclass
class Row:
    """A deployment, or a broken flow."""

    file: FlowFile
    bundle: Bundle
    flow: str = ""
    """<flow>/<deployment>, as in Prefect's commands."""
    desired: DesiredDeployment | None = None
    status: str = "broken"
    findings: list[str] = field(default_factory=list)

    @property
    def is_new(self) -> bool:
        return self.status == CREATED

    def cells(self, bucket: Bucket | None) -> tuple[str, ...]:
        """Return flow, entrypoint, code, work pool, schedule and status."""
        if not self.desired:
            return self.flow or str(self.file), "", "", "", "", self.status
        fields, code = self.desired.fields, self.desired.code
        return (
            self.flow,
            fields["entrypoint"],
            f"{bucket.url}/{code}" if bucket and code else "checkout",
            fields["work_pool_name"],
            ", ".join(map(format_schedule, self.desired.schedules)),
            self.status,
        )


def plan(candidates: list[Candidate], server: Server, store: CodeStore | None) -> Iterator[Row]:
    """Compare the desired deployments with those on the server. Changes nothing."""
    for one in candidates:
        if one.findings:
            yield Row(one.file, one.bundle, findings=one.findings)
            continue
        for settings in one.settings:
            row = Row(one.file, one.bundle, f"{one.flow(settings).name}/{settings.name}")
            try:
                row.desired = _desired_deployment(one, settings, server, store)
                row.status = server.status(row.desired)
            except InvalidInputError as problem:
                row.findings.append(str(problem))
            yield row


def _desired_deployment(
    candidate: Candidate, settings: DeploymentFile, server: Server, store: CodeStore | None
) -> DesiredDeployment:
    settings = server.resolve_variables(settings)
    pool = server.work_pool(str(settings.work_pool))
    flow = candidate.flow(settings)
    if store and settings.storage == "bucket":
        file, version = candidate.file.path.name, candidate.bundle.version
        return build_deployment(flow, settings, pool, file, version, store.bucket)
    return build_deployment(flow, settings, pool, str(candidate.file))


def apply(row: Row, server: Server, store: CodeStore | None) -> None:
    """Upload the code, then save the deployment; after an error the deployment is unchanged."""
    if not row.desired:
        return
    try:
        if store and row.desired.code:
            store.upload(row.desired.code, row.desired.fields["entrypoint"], row.bundle)
        server.save(row.desired)
    except NycTaxiError as problem:
        row.status, row.findings = "broken", [str(problem)]


def format_schedule(schedule: DeploymentScheduleCreate) -> str:
    """Return `0 6 1 * * America/New_York`, or the values of another kind of schedule."""
    values = schedule.schedule.model_dump(mode="json", exclude_defaults=True).values()
    return " ".join(word for value in values for word in str(value).split())
