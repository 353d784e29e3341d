"""From flow files to the rows of a table: what each deployment shall be, and then is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect.client.schemas.actions import DeploymentScheduleCreate

from buckets import Bucket, CodeStore, code_name
from bundles import Bundle, bundle
from checks import check_folders
from deployments import Defaults, DeploymentFile, wanted_deployments
from looking import Ask, Look, look
from nyc_taxi.errors import InvalidInputError, NycTaxiError
from projects import FlowFile, find_flows, flows_in
from register import Deployment, Server, deployment


@dataclass
class Candidate:
    """A flow file with all that can be known of it without a server."""

    file: FlowFile
    files: Bundle
    settings: list[DeploymentFile] = field(default_factory=list)
    looks: dict[str, Look] = field(default_factory=dict)
    """By function."""
    findings: list[str] = field(default_factory=list)
    """What is wrong, a line each with what mends it."""

    def look(self, settings: DeploymentFile) -> Look:
        return self.looks[settings.flow] if settings.flow else next(iter(self.looks.values()))


def candidates(files: list[FlowFile], defaults: Defaults, bundled: bool) -> Iterator[Candidate]:
    """Check each file, read its settings, and import it once: its bundle, or in the checkout."""
    with TemporaryDirectory() as folder:
        found, asks = [], []
        for number, file in enumerate(files):
            one = Candidate(file, bundle(file))
            one.findings += check_folders(file, one.files)
            try:
                one.settings = wanted_deployments(file, defaults)
            except InvalidInputError as problem:
                one.findings.append(str(problem))
            place, name = file.root, str(file)
            if bundled:
                place, name = Path(folder, str(number)), file.path.name
                one.files.copy_to(place)
            functions = dict.fromkeys(s.flow for s in one.settings if s.flow)
            asks.append(Ask(place, name, tuple(functions)))
            found.append(one)
        for one, answer in zip(found, look(asks), strict=True):
            if isinstance(answer, InvalidInputError):
                one.findings.append(str(answer))
            else:
                one.looks = {seen.function: seen for seen in answer}
                one.findings += unknown_parameters(one)
            yield one


def unknown_parameters(one: Candidate) -> Iterator[str]:
    """Parameters of its deployments that the flow does not have; each run with one would fail."""
    for settings in one.settings:
        known = one.look(settings).schema.get("properties", {})
        for name in sorted(set(settings.parameters) - set(known)):
            yield (
                f"its deployment {settings.name} has a parameter {name}, which the flow does not; "
                f"the flow has {', '.join(known) or 'none'}"
            )


def find_namesakes(found: list[Candidate]) -> None:
    """Add a finding to every flow whose name another file has: Prefect knows flows by name.

    Files that were not asked for count as well; they are only read.
    """
    looked_at = {one.file: [seen.name for seen in one.looks.values()] for one in found}
    files: dict[str, set[FlowFile]] = {}
    for file in find_flows(found[0].file.root, [], []):
        for name in looked_at[file] if file in looked_at else _names_written_in(file):
            files.setdefault(code_name(name), set()).add(file)
    for one in found:
        for name in looked_at[one.file]:
            if others := ", ".join(map(str, sorted(files[code_name(name)] - {one.file}))):
                one.findings.append(
                    f"{others} has a flow of the name {name} as well; "
                    "rename one of them: @flow(name=...)"
                )


def _names_written_in(file: FlowFile) -> list[str]:
    """Of the flows that would be registered; none of a file that is broken."""
    try:
        flows = flows_in(file.path)
        chosen = {settings.flow for settings in wanted_deployments(file, Defaults())} - {None}
    except (SyntaxError, InvalidInputError):
        return []
    return [name for function, name in flows.items() if not chosen or function in chosen]


@dataclass
class Row:
    """A deployment, or a flow that is broken."""

    file: FlowFile
    files: Bundle
    flow: str = ""
    """<flow>/<deployment>, as Prefect's commands name it."""
    wanted: Deployment | None = None
    status: str = "broken"
    findings: list[str] = field(default_factory=list)

    def cells(self, bucket: Bucket | None) -> tuple[str, ...]:
        """flow, entrypoint, code, work pool, schedule, status"""
        if not self.wanted:
            return self.flow or str(self.file), "", "", "", "", self.status
        fields, code = self.wanted.fields, self.wanted.code
        return (
            self.flow,
            fields["entrypoint"],
            f"{bucket.url}/{code}" if bucket and code else "checkout",
            fields["work_pool_name"],
            ", ".join(map(shown, self.wanted.schedules)),
            self.status,
        )


def plan(found: list[Candidate], server: Server, store: CodeStore | None) -> Iterator[Row]:
    """Compare what the flows shall be with what the server has. Changes nothing."""
    for one in found:
        if one.findings:
            yield Row(one.file, one.files, findings=one.findings)
            continue
        for settings in one.settings:
            row = Row(one.file, one.files, f"{one.look(settings).name}/{settings.name}")
            try:
                row.wanted = _wanted(one, settings, server, store)
                row.status = server.status(row.wanted)
            except InvalidInputError as problem:
                row.findings.append(str(problem))
            yield row


def _wanted(
    one: Candidate, settings: DeploymentFile, server: Server, store: CodeStore | None
) -> Deployment:
    settings = server.resolved(settings)
    pool = server.pool(str(settings.work_pool))
    seen = one.look(settings)
    if store and settings.storage == "bucket":
        file, version, bucket = one.file.path.name, one.files.version, store.bucket
        return deployment(seen, settings, pool, file, version, bucket)
    return deployment(seen, settings, pool, str(one.file))


def carry_out(row: Row, server: Server, store: CodeStore | None) -> None:
    """Upload the code, then change the deployment; an error leaves the deployment as it was."""
    if not row.wanted:
        return
    try:
        if store and row.wanted.code:
            store.put(row.wanted.code, row.wanted.fields["entrypoint"], row.files)
        server.save(row.wanted)
    except NycTaxiError as problem:
        row.status, row.findings = "broken", [str(problem)]


def shown(schedule: DeploymentScheduleCreate) -> str:
    """`0 6 1 * * America/New_York`, or what other kinds hold."""
    kept = schedule.schedule.model_dump(mode="json", exclude_defaults=True)
    return " ".join(word for value in kept.values() for word in str(value).split())
