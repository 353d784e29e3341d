"""Runs the commands of a page in a copy of the project, and writes down what they print."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from docs.tools.pages import RECORDED, ROOT

SHOWN = "/home/you/nyc-taxi-flows"
"""Where the pages say that the project is."""
_DIFFERENT = {
    r"● +[\d:.]+ \w+ ": "● ",
    r"● prefect\.(flow-run\.heartbeat|artifact).*\n": "",
    r"\d\d:\d\d:\d\d\.\d{3}": "TIME",
    r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*": "TIME",
    r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b": "ID",
    r"-[0-9a-f]{3}'": "-ID'",
    r"127\.0\.0\.1:\d{4,5}": "HOST",
    r"\b\d+\.\d+ s\b": "N s",
    r"\b[a-z]+-[a-z]+\b": "NAME",
    r"python3\.\d+": "python3",
}
PORTS = {"PREFECT_SERVER_API_PORT": 4200, "POSTGRES_PORT": 5434}
"""Ports as the pages show them; the commands run with free ones."""
_MARK = "<end of output>"
_NOISE = re.compile("Still processing items: ")
"""What Prefect prints now and then."""


def recorded(page: str) -> str:
    """Return the page with new output after every recorded command."""
    with project() as (folder, env):
        ports = {str(shown): env[name] for name, shown in PORTS.items()}
        blocks = [_commands(block) for block in RECORDED.findall(page)]
        script = "\n".join(
            f"{_with_ports(command, ports)}\necho '{_MARK}'".replace("\n> ", "\n")
            for block in blocks
            for command in block
        )
        text = run(script, folder, env)
    text = _with_ports(text, {free: shown for shown, free in ports.items()})
    outputs = iter(text.split(f"{_MARK}\n"))
    return RECORDED.sub(
        lambda block: "".join(
            f"$ {command}\n{_tidy(next(outputs))}" for command in _commands(block[0])
        ),
        page,
    )


def run(script: str, folder: Path, env: dict[str, str]) -> str:
    """Return what the commands print, with the project where the pages say it is."""
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
    )
    return done.stdout.replace(str(folder), SHOWN)


def comparable(text: str) -> str:
    """Return recorded text without what differs from run to run: times, names, ids, ports."""
    for pattern, shown in _DIFFERENT.items():
        text = re.sub(pattern, shown, text)
    return "\n".join(sorted({" ".join(line.split()) for line in text.splitlines()}))


def _commands(block: str) -> list[str]:
    """Return the commands; a line that starts with `> ` continues one."""
    return re.findall(r"^\$ (.*(?:\n> .*)*)$", block, re.MULTILINE)


def _with_ports(text: str, ports: dict[str, str]) -> str:
    for old, new in ports.items():
        text = re.sub(rf"(?<=:){old}\b", new, text)
    return text


def _tidy(output: str) -> str:
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)
    lines = [line.rstrip() for line in plain.splitlines() if not _NOISE.match(line)]
    text = "\n".join(lines).strip("\n")
    return f"{text}\n" if text else ""


@contextmanager
def project() -> Iterator[tuple[Path, dict[str, str]]]:
    """Copy the project, with this environment's packages, and yield its folder and environment."""
    with TemporaryDirectory(prefix="docs-", ignore_cleanup_errors=True) as base:
        Path(base).chmod(0o755)  # for root, PostgreSQL runs as another user
        folder = Path(base, "nyc-taxi-flows")
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        files = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        for name in filter(None, files.stdout.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        _share_packages(folder / ".venv")
        env = _environment(folder)
        try:
            yield folder, env
        finally:
            run("make down-local postgres-stop", folder, env)


def _share_packages(target: Path) -> None:
    target.mkdir()
    for path in Path(sys.prefix).iterdir():
        (target / path.name).symlink_to(path)
    (target / "installed").unlink(missing_ok=True)
    (target / "installed").touch()


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment without settings of this machine's user, and with free ports."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "NYC_TAXI_", "POSTGRES_", "PG", "MAKE", "COVERAGE_"))
    }
    env |= {
        "PYTHONPATH": str(folder / "flows"),
        "PREFECT_LOGGING_COLORS": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "600",
        "NO_COLOR": "1",
        "COLUMNS": "100",
        "HOME": str(folder.parent),
    }
    with socket.socket() as one, socket.socket() as two:
        for name, free in zip(PORTS, (one, two), strict=True):
            free.bind(("127.0.0.1", 0))
            env[name] = str(free.getsockname()[1])
    return env
