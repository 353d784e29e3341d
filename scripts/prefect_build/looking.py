"""What a flow file holds, found by importing it once, in a process of its own.

The processes are forked from one that has imported Prefect and nothing else: a flow costs its own
imports only, sees no other's modules, and can neither stop nor spoil the rest.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any

from nyc_taxi.errors import InvalidInputError

PATIENCE = 120
"""Seconds that an import may take."""
PRELOADED = [
    *("prefect.main", "prefect.cache_policies", "prefect.utilities.importtools", "pydantic.v1"),
    *("cyclopts", "rich.progress", "looking"),
]
"""What each process would import else: Prefect, and what build.py does."""

_starting_or_ending = Lock()
"""Starting a process looks at all that have ended; two looks at one lose its exit code."""


@dataclass(frozen=True)
class Look:
    """A flow as its file says it is."""

    name: str
    """Prefect's name of the flow."""
    function: str
    """What the file calls it, as an entrypoint does."""
    description: str | None
    schema: dict[str, Any]
    """The JSON schema of its parameters."""


@dataclass(frozen=True)
class Ask:
    folder: Path
    """Where the run would start: the checkout, or a folder with the flow's bundle."""
    file: str
    """Relative to the folder."""
    functions: tuple[str, ...] = ()
    """The flows asked for; none where the file holds one flow."""


Answer = list[Look] | InvalidInputError
"""The flows, in the order asked for, or why they are broken."""


def get_ready() -> Any:
    """Start the process that all others are forked from: it imports while the caller does."""
    if os.name != "posix":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()
    return context


def look(asks: list[Ask]) -> Iterator[Answer]:
    """The answer to each ask, in order, a few at a time."""
    context = get_ready()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda ask: _in_a_process(context, ask), asks)


def _in_a_process(context: Any, ask: Ask) -> Answer:
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(ask, there), daemon=True)
    with _starting_or_ending:
        process.start()
    there.close()
    try:
        if here.poll(PATIENCE):
            answer: list[Look] | str = here.recv()
        else:
            answer = f"its import took longer than {PATIENCE} s; do its work inside the flow"
    except EOFError:
        with _starting_or_ending:
            process.join()
        answer = f"its import ended the process (exit code {process.exitcode})"
    finally:
        with _starting_or_ending:
            process.kill()
            process.join()
        here.close()
    return InvalidInputError(answer) if isinstance(answer, str) else answer


def _report(ask: Ask, answer: Connection) -> None:
    """Runs in the process: import, and send what it holds, or what is wrong with the flow."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)  # what a flow prints when imported does not belong into the table
    os.dup2(quiet, 2)
    try:
        answer.send(_import(ask))
    except BaseException as problem:
        answer.send(_reason(problem, ask))


def _import(ask: Ask) -> list[Look]:
    from prefect.utilities.callables import parameter_schema
    from prefect.utilities.importtools import load_script_as_module

    _leave_other_checkouts(ask.folder)
    os.chdir(ask.folder)
    module = load_script_as_module(ask.file)
    return [
        Look(
            flow.name,
            name,
            flow.description,
            parameter_schema(flow).model_dump(exclude_unset=True),
        )
        for name, flow in _chosen(module, ask).items()
    ]


def _leave_other_checkouts(folder: Path) -> None:
    """Take away what the installed project puts on the path: a worker elsewhere has not got it."""
    ours = Path(__file__).resolve().parents[2]
    if folder.resolve() == ours:
        return
    installed = Path(sys.prefix).resolve()
    sys.path[:] = [
        path
        for path in sys.path
        if (place := Path(path).resolve()).is_relative_to(installed)
        or not place.is_relative_to(ours)
    ]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and Path(file).is_relative_to(ours / "flows"):
            del sys.modules[name]


def _chosen(module: Any, ask: Ask) -> dict[str, Any]:
    from prefect import Flow

    every = {name: value for name, value in vars(module).items() if isinstance(value, Flow)}
    own: list[str] = []
    for name, flow in every.items():
        known = any(flow is every[other] for other in own)  # by another name
        if flow.fn.__module__ == module.__name__ and not known:
            own.append(name)
    for function in ask.functions:
        if function not in every:
            raise InvalidInputError(
                f"{function} is no flow of {ask.file}, which has {', '.join(own) or 'none'}; "
                "decorate it with @flow, or name another"
            )
    if ask.functions:
        return {function: every[function] for function in ask.functions}
    if not own:
        raise InvalidInputError(f"no function of {ask.file} is a flow; decorate one with @flow")
    if len(own) > 1:
        raise InvalidInputError(
            f"it holds the flows {', '.join(own)}; say which in deployment.yaml: flow: ..."
        )
    return {own[0]: every[own[0]]}


def _reason(problem: BaseException, ask: Ask) -> str:
    """One line, with the step that mends it where it can be told."""
    cause = getattr(problem, "user_exc", problem)
    if isinstance(cause, InvalidInputError):
        return str(cause)
    if isinstance(cause, FileNotFoundError) and not (ask.folder / ask.file).is_file():
        return f"there is no {ask.file}: the entrypoint names a file that is not there"
    said = f"{type(cause).__name__}: {' '.join(str(cause).split())}"
    if isinstance(cause, SyntaxError):
        return f"{said}; mend the file"
    if isinstance(cause, ModuleNotFoundError):
        return (
            f"{said}; if it is a file of this repository, import it by its name below flows/, and "
            "see that it is there with its __init__.py; if a package, add it to requirements.in"
        )
    if isinstance(cause, ImportError) and "relative import" in str(cause):
        return f"{said}; only `from .name` of the flow's own folder works, write the full name"
    return f"its import failed: {said}"
