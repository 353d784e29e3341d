"""Command line of the scripts: settings from `.env`, options from parameters, one-line errors.

Each script imports this module before Prefect, because Prefect reads its settings at import.
"""

from __future__ import annotations

import atexit
import inspect
import logging
import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from nyc_taxi.errors import INTERRUPTED, NycTaxiError
from nyc_taxi.registry import Store

if TYPE_CHECKING:
    from prefect import Flow

FLUSH_TIMEOUT = 1.0
"""Seconds to send the remaining logs to the server; the same again for the events."""
_exit_codes: list[int] = []
"""Holds the exit code after a failure."""


def _exit_without_cleanup() -> None:
    """Exit before Python's teardown, which reports DuckDB objects in a traceback as leaked."""
    if _exit_codes:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_exit_codes[0])


def _excepthook(
    kind: type[BaseException], problem: BaseException, trace: TracebackType | None
) -> None:
    """Print one line for Ctrl-C during imports, and the usual traceback for other exceptions."""
    if issubclass(kind, KeyboardInterrupt):
        print(INTERRUPTED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, problem, trace)


if "prefect" not in sys.modules:
    sys.excepthook = _excepthook
    atexit.register(_exit_without_cleanup)  # registered before Prefect's handlers, so it runs last
    try:
        from nyc_taxi.environment import prepare_for_prefect  # fast: does not import Prefect

        prepare_for_prefect(load="--help" not in sys.argv and "-h" not in sys.argv)
        import prefect.context  # noqa: F401  # Prefect reads its settings here
    except NycTaxiError as problem:
        sys.exit(f"error: {problem}")
    except (OSError, ValueError) as problem:  # an unreadable file or an invalid value
        sys.exit(
            f"error: invalid Prefect settings: {' '.join(str(problem).split())}; correct "
            "PREFECT_... in the environment and .env, or profiles.toml in PREFECT_HOME (.prefect)"
        )


def command(flow: Flow[..., Any], *stores: Store) -> None:
    """Run a flow from the command line, with one option per parameter.

    Parameters, rules and the addresses of `stores` are checked before a server is contacted or
    started. Exit codes: 1 and one line on stderr for an error, 130 after SIGINT, 143 after SIGTERM.
    """
    from nyc_taxi.input_checks import check_input
    from nyc_taxi.orchestration.server import use_server

    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(_HideTracebacks())

    def run() -> None:
        bound = _parse(flow.fn, flow.description or "")
        if bound:
            check_input(flow, bound.arguments, stores)
            use_server()
            flow(*bound.args, **bound.kwargs)

    _exit_in_one_line(run)


def script(main: Callable[..., int | None]) -> None:
    """Run `main` from the command line, with one option per parameter.

    The docstring of its module is the help text. Exit code: the result of `main`, or 1 and one
    line on stderr for an error.
    """
    from prefect.settings import PREFECT_API_URL

    from nyc_taxi.orchestration.server import temporary_server

    def run() -> None:
        bound = _parse(main, inspect.getmodule(main).__doc__ or "")
        if bound:
            if not PREFECT_API_URL.value():
                temporary_server()
            sys.exit(main(*bound.args, **bound.kwargs) or 0)

    _exit_in_one_line(run)


def _parse(main: Callable[..., Any], help: str) -> inspect.BoundArguments | None:
    """Parse the arguments for `main`; print the help and return None for `--help`."""
    import cyclopts

    app = cyclopts.App(
        help=help, help_format="plaintext", version_flags=[], result_action="return_value"
    )
    app.default(main)
    chosen, bound, _ = app.parse_args(sys.argv[1:], exit_on_error=False, print_error=False)
    if chosen is main:
        return bound
    chosen(*bound.args, **bound.kwargs)
    return None


def _exit_in_one_line(run: Callable[[], None]) -> None:
    """Exit with one line after an error that a user can fix, or after a signal."""
    from nyc_taxi.signals import exit_immediately, exit_on_signals

    with exit_on_signals() as first_signal:
        try:
            run()
            return
        except BaseException as problem:
            if number := first_signal():
                for another in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(another, signal.SIG_IGN)  # the exit takes seconds
                _flush_logs()
                atexit._run_exitfuncs()  # stops the temporary server
                # sys.exit would report objects of unfinished threads as leaked.
                exit_immediately(number)
            line = _user_message(problem)
            if not line:
                raise
    _exit_codes.append(1)
    sys.exit(f"error: {' '.join(line.split())}")


def _flush_logs() -> None:
    """Send buffered logs and events to the server, within FLUSH_TIMEOUT each."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    logging.raiseExceptions = False  # suppress Prefect's message that logs cannot be sent
    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=FLUSH_TIMEOUT)


def _user_message(problem: BaseException) -> str:
    """Return the one-line message of an error that a user can fix; empty for any other error."""
    import cyclopts
    import httpx
    from prefect.exceptions import ParameterTypeError
    from prefect.settings import PREFECT_API_URL

    from nyc_taxi.errors import ServerError
    from nyc_taxi.orchestration.server import check_server
    from nyc_taxi.orchestration.server_errors import explain

    if isinstance(problem, NycTaxiError | ParameterTypeError | cyclopts.CycloptsError):
        return str(problem)
    if PREFECT_API_URL.value() and isinstance(problem, Exception):
        try:
            check_server()
        except ServerError as reason:
            return str(reason)
    return explain(problem) if isinstance(problem, httpx.HTTPError) else ""


class _HideTracebacks(logging.Filter):
    """Log filter that omits the traceback of a NycTaxiError."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], NycTaxiError):
            record.msg, record.args = str(record.exc_info[1]), ()
            record.exc_info = record.exc_text = None
        return True


def _run_in_package() -> None:
    """Rerun a script inside a package as a module, so that its relative imports work."""
    main, flows = sys.modules["__main__"], Path(__file__).resolve().parents[1]
    path = Path(getattr(main, "__file__", None) or flows).resolve()
    if main.__spec__ is None and flows in path.parents and path.parent != flows:
        sys.path.insert(0, str(flows))
        module = ".".join(path.relative_to(flows).with_suffix("").parts)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        sys.exit()


_run_in_package()
