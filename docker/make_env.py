"""Add missing secrets of docker-compose.yml to .env; `make up` runs it.

The rest of the file is unchanged. Afterwards only its owner can read it.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
import tempfile
from pathlib import Path

ENV = Path(__file__).resolve().parents[1] / ".env"
GENERATORS = {
    "POSTGRES_PASSWORD": lambda: secrets.token_hex(16),
    "PREFECT_AUTH_STRING": lambda: f"admin:{secrets.token_hex(16)}",
}


def add_secrets(path: Path) -> list[str]:
    """Add missing secrets and return their names. Raises OSError, ValueError."""
    path = path.resolve()  # keep a symbolic link
    content = path.read_bytes() if path.exists() else b""
    if b"\0" in content:
        raise ValueError("is not UTF-8 text; save it as UTF-8")
    missing = [
        name for name in GENERATORS if not os.environ.get(name) and not get_value(content, name)
    ]
    if missing:
        end = b"\r\n" if content.count(b"\r\n") == content.count(b"\n") > 0 else b"\n"
        if content and not content.endswith(b"\n"):
            content += end
        content += b"".join(f"{name}={GENERATORS[name]()}".encode() + end for name in missing)
        write_atomically(path, content)
    elif path.exists():
        path.chmod(0o600)
    return missing


def get_value(content: bytes, name: str) -> bytes:
    """Return the variable's value; the last line that sets it counts."""
    line = rb"(?m)^[ \t]*(?:export[ \t]+)?%b[ \t]*=[ \t]*(.*)$" % name.encode()
    values = re.findall(line, content)
    return bytes(values[-1].strip(b"\r \t\"'")) if values else b""


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file with one of mode 0600."""
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
