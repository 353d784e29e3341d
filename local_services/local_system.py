"""Run the Prefect server with its UI, a worker and all deployments in the background, no Docker.

Settings: PREFECT_SERVER_API_PORT (default 4200), NYC_TAXI_LOCAL (logs and pid files, default
data/local), PREFECT_HOME (Prefect's database, default .prefect).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from local_services.process import Service, ServiceStartError, writable

ROOT = Path(__file__).resolve().parents[1]
POOL = "process-pool"


def port() -> int:
    given = os.environ.get("PREFECT_SERVER_API_PORT") or "4200"
    if not given.isdecimal() or not 0 < int(given) < 65536:
        raise ServiceStartError(
            f"PREFECT_SERVER_API_PORT={given!r} is not a valid port; use 1 to 65535"
        )
    return int(given)


def environment() -> dict[str, str]:
    return prefect_environment(Path(os.environ.get("PREFECT_HOME") or ROOT / ".prefect"), port())


def prefect_environment(home: Path, port: int) -> dict[str, str]:
    """Return the environment of a Prefect server on this machine and of its clients."""
    return {
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def remove_settings() -> None:
    """Remove the user's settings of Prefect and the flows from os.environ."""
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "NYC_TAXI_"))]:
        del os.environ[name]


def folder() -> Path:
    return Path(os.environ.get("NYC_TAXI_LOCAL") or ROOT / "data" / "local").resolve()


def prefect(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "prefect", *arguments)


def server() -> Service:
    advice = f"stop it, or use another port: PREFECT_SERVER_API_PORT={port() + 1} make up-local"
    return prefect_server(folder(), environment(), port(), advice)


def prefect_server(
    folder: Path, env: dict[str, str], port: int, advice: str = "stop it"
) -> Service:
    """Return a Prefect server whose log and process id are in `folder`."""
    return Service(
        "server",
        folder,
        (sys.executable, str(ROOT / "docker" / "prefect_server.py"), "--port", str(port)),
        port,
        path="/api/health",
        env=env,
        umask=0o077,
        advice=advice,
    )


def worker() -> Service:
    return Service(
        "worker",
        folder(),
        prefect("worker", "start", "--pool", POOL, "--name", "local"),
        None,
        logs="started",
        env=environment(),
        seconds_to_stop=30,
    )


def up() -> None:
    """Start the server and the worker if they are not running, and deploy all flows."""
    home = Path(environment()["PREFECT_HOME"])
    with writable(home):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)  # its database contains secrets
    server().start()
    run(sys.executable, "blocks/make_process_pool.py")
    run(*prefect("--no-prompt", "deploy", "--all"), log=folder() / "deploy.log")
    worker().start()
    api = environment()["PREFECT_API_URL"]
    print(f"UI: http://127.0.0.1:{port()}; for prefect commands: export PREFECT_API_URL={api}")


def run(*command: str, log: Path | None = None) -> None:
    """Run a command; exit with its code if it fails. With `log`, print the output only then."""
    out = None if log is None else log.open("w")
    try:
        env = {**os.environ, **environment()}
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=out, stderr=out, check=False)
    finally:
        if out:
            out.close()
    if done.returncode:
        if log:
            print(log.read_text(), end="")
        sys.exit(done.returncode)


def down() -> None:
    """Stop the worker, then the server."""
    worker().stop()
    server().stop()
    print("stopped")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="./local.sh", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="up|down")
    commands.add_parser(
        "up", help="start server and worker, deploy all flows (idempotent)"
    ).set_defaults(do=up)
    commands.add_parser("down", help="stop the worker, then the server").set_defaults(do=down)
    try:
        parser.parse_args().do()
    except ServiceStartError as problem:
        sys.exit(f"error: {problem}")


if __name__ == "__main__":
    main()
