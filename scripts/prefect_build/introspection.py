"""The flows that a file defines, found by importing it once in its own process.

The processes are forked from one that has imported Prefect but no flow. An import therefore costs
only the flow's own modules, sees no other flow's modules, and cannot stop or affect the others.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import forkserver, util
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any
from unittest.mock import patch

from nyc_taxi.errors import InvalidInputError

ROOT = Path(__file__).resolve().parents[2]
"""The checkout of this project."""
IMPORT_TIMEOUT = 120
"""Seconds."""
PRELOADED = [
    *("prefect.main", "prefect.cache_policies", "prefect.utilities.importtools", "pydantic.v1"),
    __name__,
]
"""Modules that the fork server imports once for all processes."""

SHORT_ENOUGH = 70
"""Bytes of a temporary folder's path: a socket's, below it, may have about 30 more."""

_process_lock = Lock()
"""Starting a process reaps all that have ended; two threads that reap one lose its exit code."""


@dataclass(frozen=True)
class FlowInfo:
    """A flow as its file defines it."""

    name: str
    """Prefect's name of the flow."""
    function: str
    """Name in the file, as in an entrypoint."""
    description: str | None
    schema: dict[str, Any]
    """JSON schema of the parameters."""


@dataclass(frozen=True)
class ImportRequest:
    """A file to import, and the flows to describe."""

    folder: Path
    """Where the run would start: the checkout, or a folder that holds the flow's bundle."""
    file: str
    """Relative to the folder."""
    functions: tuple[str, ...] = ()
    """Flows to describe; may be empty if the file defines only one."""


ImportResult = list[FlowInfo] | InvalidInputError
"""The flows in the order requested, or the reason why they are broken."""


def start_fork_server() -> Any:
    """Start the process that imports are forked from, and return its multiprocessing context.

    It preloads Prefect while the caller goes on. On Windows, which has no fork, each import starts
    a new interpreter instead.
    """
    if os.name != "posix":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    if len(os.fsencode(tempfile.gettempdir())) > SHORT_ENOUGH:
        with patch.object(tempfile, "tempdir", "/tmp"):
            util.get_temp_dir()  # multiprocessing keeps it
    python_path = os.environ.get("PYTHONPATH")
    # Python 3.11's fork server has its own sys.path, and skips what it cannot preload.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), python_path)))
    try:
        forkserver.ensure_running()
    finally:
        if python_path is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = python_path
    return context


def introspect(requests: list[ImportRequest]) -> Iterator[ImportResult]:
    """Yield the result of each request in order; as many imports run at once as there are cores."""
    context = start_fork_server()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda request: _import_in_process(context, request), requests)


def _import_in_process(context: Any, request: ImportRequest) -> ImportResult:
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_flows, args=(request, sender), daemon=True)
    with _process_lock:
        process.start()
    sender.close()
    try:
        if receiver.poll(IMPORT_TIMEOUT):
            answer: list[dict[str, Any]] | str = receiver.recv()
        else:
            answer = f"importing it took over {IMPORT_TIMEOUT} s; move the work into the flow"
    except EOFError:
        with _process_lock:
            process.join()
        answer = f"importing it ended the process (exit code {process.exitcode})"
    finally:
        with _process_lock:
            process.kill()
            process.join()
        receiver.close()
    return (
        InvalidInputError(answer)
        if isinstance(answer, str)
        else [FlowInfo(**one) for one in answer]
    )


def _send_flows(request: ImportRequest, sender: Connection) -> None:
    """Import the file and send its flows, or what is wrong with it; runs in the new process."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)  # what a flow prints on import must not end up in the table
    os.dup2(devnull, 2)
    try:
        sender.send(_import_flows(request))
    except BaseException as problem:
        sender.send(_describe_error(problem, request))


def _import_flows(request: ImportRequest) -> list[dict[str, Any]]:
    """Return the fields of each FlowInfo: the class can no longer be pickled in this process."""
    from prefect.utilities.callables import parameter_schema
    from prefect.utilities.importtools import load_script_as_module

    if request.folder.resolve() != ROOT:
        _hide_checkout()
    os.chdir(request.folder)
    module = load_script_as_module(request.file)
    return [
        {
            "name": flow.name,
            "function": name,
            "description": flow.description,
            "schema": parameter_schema(flow).model_dump(exclude_unset=True),
        }
        for name, flow in _select_flows(module, request).items()
    ]


def _hide_checkout() -> None:
    """Make this checkout's code impossible to import, as on a worker that has no checkout."""
    installed = Path(sys.prefix).resolve()  # may be a folder of the checkout
    sys.path[:] = [
        path
        for path in sys.path
        if (place := Path(path).resolve()).is_relative_to(installed)
        or not place.is_relative_to(ROOT)
    ]
    own = tuple(f"{ROOT / folder}{os.sep}" for folder in ("flows", "scripts"))
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(own) and name != "__main__":
            del sys.modules[name]


def _select_flows(module: Any, request: ImportRequest) -> dict[str, Any]:
    """Return the requested flows, else the only flow that the module defines."""
    from prefect import Flow

    flows = {name: value for name, value in vars(module).items() if isinstance(value, Flow)}
    defined: list[str] = []
    for name, flow in flows.items():
        is_alias = any(flow is flows[other] for other in defined)
        if flow.fn.__module__ == module.__name__ and not is_alias:
            defined.append(name)
    for function in request.functions:
        if function not in flows:
            raise InvalidInputError(
                f"{function} is not a flow of {request.file}, which defines "
                f"{', '.join(defined) or 'none'}; decorate it with @flow or name another"
            )
    if request.functions:
        return {function: flows[function] for function in request.functions}
    if not defined:
        raise InvalidInputError(f"{request.file} defines no flow; decorate a function with @flow")
    if len(defined) > 1:
        raise InvalidInputError(
            f"it defines the flows {', '.join(defined)}; choose one in deployment.yaml: flow: ..."
        )
    return {defined[0]: flows[defined[0]]}


def _describe_error(problem: BaseException, request: ImportRequest) -> str:
    """Return one line with the reason and, if known, the fix."""
    cause = getattr(problem, "user_exc", problem)
    if isinstance(cause, InvalidInputError):
        return str(cause)
    if isinstance(cause, FileNotFoundError) and not (request.folder / request.file).is_file():
        return f"the entrypoint's file {request.file} does not exist"
    reason = f"{type(cause).__name__}: {' '.join(str(cause).split())}"
    if isinstance(cause, SyntaxError):
        return f"{reason}; fix the file"
    if isinstance(cause, ModuleNotFoundError):
        return (
            f"{reason}; if it is a file of this repository, import it by its path below flows/ and "
            "make sure that its folder has an __init__.py; if a package, add it to requirements.in"
        )
    if isinstance(cause, ImportError) and "relative import" in str(cause):
        return f"{reason}; write the full name: `from .name` works only in the flow's own folder"
    return f"importing it failed: {reason}"
