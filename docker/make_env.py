"""Add the secrets that docker-compose.yml needs to .env, where they are missing: `make up`.

Nothing else in the file changes. It ends up readable by its owner alone.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
import tempfile
from pathlib import Path

ENV = Path(__file__).resolve().parents[1] / ".env"
MADE = {
    "POSTGRES_PASSWORD": lambda: secrets.token_hex(16),
    "PREFECT_AUTH_STRING": lambda: f"admin:{secrets.token_hex(16)}",
}


def add_secrets(path: Path) -> list[str]:
    """Return the names of the secrets that were added. Raises OSError, ValueError."""
    path = path.resolve()  # a link stays a link
    held = path.read_bytes() if path.exists() else b""
    if b"\0" in held:
        raise ValueError("is not UTF-8 text; save it as UTF-8")
    missing = [name for name in MADE if not os.environ.get(name) and not value(held, name)]
    if missing:
        end = b"\r\n" if held.count(b"\r\n") == held.count(b"\n") > 0 else b"\n"
        if held and not held.endswith(b"\n"):
            held += end
        held += b"".join(f"{name}={MADE[name]()}".encode() + end for name in missing)
        replace(path, held)
    elif path.exists():
        path.chmod(0o600)
    return missing


def value(held: bytes, name: str) -> bytes:
    """The variable's value; the last line that sets it counts."""
    found = re.findall(rb"(?m)^[ \t]*(?:export[ \t]+)?%b[ \t]*=[ \t]*(.*)$" % name.encode(), held)
    return bytes(found[-1].strip(b"\r \t\"'")) if found else b""


def replace(path: Path, content: bytes) -> None:
    """Put the new content in the file's place in one step, with mode 0600."""
    handle, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink()
        raise


if __name__ == "__main__":
    if sys.argv[1:] in (["--help"], ["-h"]):
        sys.exit(print(__doc__))
    if sys.argv[1:]:
        sys.exit(f"error: make_env.py takes no arguments, not {sys.argv[1]}")
    try:
        added = add_secrets(ENV)
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        sys.exit(f"error: {ENV}: {reason}; make up adds secrets to it")
    if added:
        print(f"added to .env: {', '.join(added)}")
