"""Help texts, flow parameters, make targets and deployments, as the code has them."""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import sys
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch
from warnings import catch_warnings, simplefilter

import yaml
from prefect import Flow

from docs.tools.pages import ROOT, markdown_table

CHECKS = ("nyc_taxi.doctor", "nyc_taxi.environment")
DEVELOPMENT = ("local_services", "local_services.postgres", "synthetic_tlc", "bench", "docs.tools")
"""Modules to run with `python -m`."""


def scripts() -> list[str]:
    """Return every script to run by its path."""
    folders = ("flows", "blocks", "scripts")
    found = [path for folder in folders for path in (ROOT / folder).glob("[a-z]*.py")]
    found.append(ROOT / "scripts" / "prefect_build" / "build.py")
    found.append(ROOT / "flows" / "lakehouse" / "deploy.py")
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def sections(which: str) -> str:
    """Return a section with the help of each script: of a folder, or of the modules named."""
    if which in ("checks", "development"):
        found = [f"-m {name}" for name in (CHECKS if which == "checks" else DEVELOPMENT)]
    else:
        found = [
            path.relative_to(ROOT).as_posix() for path in sorted((ROOT / which).glob("[a-z]*.py"))
        ]
    return "\n\n".join(f"### {_title(command)}\n\n{help_text(command)}" for command in found)


def flow_sections() -> str:
    """Return a section for each flow script: what it does, its parameters, its help."""
    by_file: dict[str, list[Flow[..., Any]]] = {}
    for name, flow in flows().items():
        by_file.setdefault(name.partition(":")[0], []).append(flow)
    found = []
    for path, own in sorted(by_file.items()):
        module = Path(path).relative_to("flows").with_suffix("").as_posix().replace("/", ".")
        command = f"-m {module}" if "." in module else path
        tables = (f"Flow `{flow.name}`. {_summary(flow)}\n\n{parameters(flow)}" for flow in own)
        found.append(f"### {_title(command)}\n\n" + "\n\n".join([*tables, help_text(command)]))
    return "\n\n".join(found)


def _title(command: str) -> str:
    return command.removeprefix("-m ") if command.startswith("-m ") else Path(command).name


def _summary(flow: Flow[..., Any]) -> str:
    return (flow.description or "").partition("\n\n")[0].replace("\n", " ")


def help_text(command: str) -> str:
    """Return what `python <command> --help` prints; `-m` starts a module."""
    place = command.removeprefix("-m ")
    path = str(ROOT / place)
    output = io.StringIO()
    with (
        patch.object(sys, "argv", [path, "--help"]),
        patch.object(sys, "path", [str(Path(path).parent), *sys.path]),
        patch.dict(os.environ, {"COLUMNS": "80"}),
        redirect_stdout(output),
        catch_warnings(),
    ):
        simplefilter("ignore")  # of runpy and cyclopts, which expect a new process
        try:
            if command.startswith("-m "):
                runpy.run_module(place, run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(path, run_name="__main__")
        except SystemExit as exit:
            assert not exit.code, f"{command} --help exits with {exit.code}"
    lines = (line.rstrip() for line in output.getvalue().splitlines())
    return f"```console\n$ python {command} --help\n" + "\n".join(lines).strip("\n") + "\n```"


def flows() -> dict[str, Flow[..., Any]]:
    """Return every flow that a script runs, by its file."""
    found = {}
    for path in [*(ROOT / "flows").glob("*.py"), *(ROOT / "flows").glob("*/*/flow.py")]:
        name = ".".join(path.relative_to(ROOT / "flows").with_suffix("").parts)
        module = import_module(name)
        for value in vars(module).values():
            if isinstance(value, Flow) and value.fn.__module__ == name:
                found[f"{path.relative_to(ROOT).as_posix()}:{value.name}"] = value
    return found


def parameters(flow: Flow[..., Any]) -> str:
    """Return the parameters of a flow, as its form in the Prefect UI shows them."""
    properties = flow.parameters.properties
    if not properties:
        return "No parameters."
    rows = [
        [
            f"`{parameter}`",
            _kind(schema),
            f"`{json.dumps(schema['default'])}`" if "default" in schema else "required",
            str(schema.get("description", "")).replace("\n", " "),
        ]
        for parameter, schema in properties.items()
    ]
    return markdown_table(["parameter", "type", "default", "meaning"], rows)


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    kind = str(schema.get("type", "text"))
    if kind == "array":
        kind = f"list of {_kind(schema['items'])}"
    if "minimum" in schema:
        kind += f", {schema['minimum']} or more"
    if "maximum" in schema:
        kind = kind.replace(" or more", f" to {schema['maximum']}")
    return kind


def targets() -> dict[str, str]:
    """Return every target of the Makefile and what it does."""
    makefile = (ROOT / "Makefile").read_text()
    return dict(re.findall(r"^([a-z][a-z-]*):.*?## +(.*)$", makefile, re.MULTILINE))


def target_table() -> str:
    rows = [[f"`make {name}`", about] for name, about in targets().items()]
    return markdown_table(["command", "does"], rows)


def deployments() -> str:
    """Return the deployments of prefect.yaml."""
    rows = []
    for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]:
        module, _, function = one["entrypoint"].partition(":")
        flow = getattr(import_module(Path(module).stem), function)
        times = ", ".join(f"`{s['cron']}` {s['timezone']}" for s in one.get("schedules", []))
        pool = one["work_pool"]["name"]
        rows.append(
            [
                f"`{flow.name}/{one['name']}`",
                one["description"],
                "`docker-pool`, else `process-pool`" if "{{" in pool else f"`{pool}`",
                times or "on request",
                f"`{json.dumps(one['parameters'])}`",
            ]
        )
    return markdown_table(["deployment", "does", "work pool", "schedule", "parameters"], rows)
