"""Start and stop the GCS and BigQuery emulators, or run the demo on them."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from local_services import Service, ServiceStartError, bigquery, client_environment, gcs
from local_services.demo_gcp import demo, flow_environment

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "data" / "emulators"
PORTS = {"gcs": 9023, "bigquery": 9050}


def servers() -> list[Service]:
    return [gcs(FOLDER, PORTS["gcs"]), bigquery(FOLDER, PORTS["bigquery"])]


def up() -> None:
    storage, warehouse = servers()
    for server in (storage, warehouse):
        server.start()
        print(f"{server.name:10}{server.url}")
    values = {**client_environment(storage, warehouse), **flow_environment(FOLDER)}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    env = FOLDER / "env"
    env.touch(mode=0o600)
    env.write_text("\n".join(["unset PREFECT_API_URL", *lines, ""]))
    (FOLDER / "prefect").mkdir(mode=0o700, exist_ok=True)  # its database contains secrets
    print(f"""
To use them in this shell:
  . {env.relative_to(ROOT)}
  .venv/bin/python blocks/make_gcp_blocks.py
  .venv/bin/python flows/etl_web_to_bq.py --color green --month 1
To stop them: make emulators-stop""")


def down() -> None:
    for server in servers():
        was = "stopped" if server.process() else "was not running"
        server.stop()
        print(f"{server.name:10}{was}")


def status() -> None:
    for server in servers():
        state = server.url if server.process() and server.answers() else "not running"
        print(f"{server.name:10}{state}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local_services", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, run, help_text in (
        ("up", up, "start both and write an env file that points to them"),
        ("down", down, "stop both"),
        ("status", status, "print which of them run, and their URLs"),
    ):
        commands.add_parser(name, help=help_text).set_defaults(run=run)
    demo_parser = commands.add_parser(
        "demo", help="run the demo: TLC site -> GCS -> BigQuery, all local"
    )
    demo_parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    try:
        demo(args.folder.resolve()) if "folder" in args else args.run()
    except ServiceStartError as problem:
        sys.exit(f"error: {problem}")
    except OSError as problem:
        path = problem.filename or FOLDER
        sys.exit(f"error: {path}: {problem.strerror}; make it writable, or use another folder")


if __name__ == "__main__":
    main()
